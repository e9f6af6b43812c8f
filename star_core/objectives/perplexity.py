"""Perplexity: the exponential of the validation loss per token."""

from __future__ import annotations

import math
from collections.abc import Mapping

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, at_least, register


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """exp(nats per token) on the held-out documents."""
    return math.exp(metrics["validation_loss"])


def bits_per_byte(perplexity: float) -> float:
    """Bits per token; with byte tokens, bits per byte."""
    return math.log2(perplexity)


PERPLEXITY = register(Objective("perplexity", "perplexity", "", True, measure, least=at_least(1.0)))
