"""Perplexity: the exponential of the validation loss per token; and what it is in bits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, at_least, register

_BYTES = 256
"""Vocabulary of tokens that are bytes."""


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """exp(nats per token) on the held-out documents."""
    return math.exp(metrics["validation_loss"])


@dataclass(frozen=True, slots=True)
class Bits:
    """A perplexity in bits, which compare between runs of different tokenizers where they are per byte.

    Attributes:
        bytes_per_token: Bytes of held-out text a token stands for; ``None`` where that is not known.
    """

    bytes_per_token: float | None

    @classmethod
    def of_tokens(cls, vocab_size: int, bytes_per_token: float | None) -> Bits:
        """For tokens of this vocabulary; where it has 256 and nothing is stated, they are bytes."""
        return cls(1.0 if bytes_per_token is None and vocab_size == _BYTES else bytes_per_token)

    @property
    def unit(self) -> str:
        """``byte`` or ``token``."""
        return "token" if self.bytes_per_token is None else "byte"

    def of(self, perplexity: float | None) -> float | None:
        """Bits of a perplexity per byte, or per token where bytes are not known."""
        return None if perplexity is None else math.log2(perplexity) / (self.bytes_per_token or 1.0)


PERPLEXITY = register(Objective("perplexity", "perplexity", "", True, measure, least=at_least(1.0)))
