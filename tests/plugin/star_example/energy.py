"""Energy that a device takes to write tokens: FLOPs of the architecture, and what one costs as measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from star_core.architecture import Architecture
from star_core.config import Objectives, Params, Section
from star_core.objectives.base import Objective, register
from star_core.objectives.probe import Probe, probed

NAME = "energy_joules"


class Energy(Section):
    """Settings, which stand in ``params.yaml`` under ``objectives.energy_joules``.

    Attributes:
        watts: That the device draws while it computes.
        tokens: Whose energy is stated.
    """

    watts: float = Field(default=15.0, gt=0)
    tokens: int = Field(default=1_000_000, ge=1)


def conditions(params: Params, vocab_size: int) -> dict[str, Any]:
    """What the measurement depends on: not on ``tokens``, so that another number measures nothing again."""
    return {"watts": params.objectives.settings_of(NAME, Energy).watts}


METER = Probe("star_example.meter:measure", conditions, alone=True)


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Joules for ``tokens`` tokens, each of which reads ``cache_length`` others."""
    flops = architecture.flops_per_token(section.cache_length) * section.settings_of(NAME, Energy).tokens
    return flops * probed(metrics, "joules_per_flop")


ENERGY = register(
    Objective(
        NAME,
        "energy",
        "J",
        trained=False,
        measure=measure,
        probe=METER,
        noise=0.05,
        digits=4,
        settings=Energy,
    )
)
