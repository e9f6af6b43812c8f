"""Bytes of inference cache one sequence holds at the stated length, in the precision that is deployed."""

from __future__ import annotations

from collections.abc import Mapping

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, register


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Bytes, from the spec."""
    return float(architecture.cache_bytes(section.cache_length, feature_bytes=section.feature_bytes))


CACHE_BYTES = register(
    Objective(
        "cache_bytes",
        "inference cache",
        "B",
        False,
        measure,
        least=lambda spec, section: measure(spec, {}, section),
    )
)
