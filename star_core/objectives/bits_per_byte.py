"""Bits per byte of held-out text: what perplexity says, in a unit that all tokenizers share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, at_least, register
from star_core.objectives.perplexity import Bits


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Bits per token over bytes per token, on the held-out documents.

    Raises:
        ValueError: It is not known how many bytes of text a token stands for.
    """
    bits = Bits.of_tokens(architecture.vocab_size, metrics.get("bytes_per_token"))
    if bits.bytes_per_token is None:
        raise ValueError("the tokens of this corpus are not known to be of text; use perplexity")
    return metrics["validation_loss"] / math.log(2) / bits.bytes_per_token


BITS_PER_BYTE = register(Objective("bits_per_byte", "bits per byte", "", True, measure, least=at_least(0.0)))
