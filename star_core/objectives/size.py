"""Parameters of the whole model, each shared weight counted once."""

from __future__ import annotations

from collections.abc import Mapping

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, register


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Number of scalars, from the spec."""
    return float(architecture.num_parameters)


PARAMETERS = register(
    Objective(
        "parameters",
        "parameters",
        "count",
        False,
        measure,
        least=lambda spec, section: measure(spec, {}, section),
    )
)
