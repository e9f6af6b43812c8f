"""Memory that a process really holds while it reads a prompt and writes behind a context."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, at_least, register
from star_core.objectives.devices import on_device
from star_core.objectives.latency import DEVICE
from star_core.objectives.probe import probed

NOISE = 0.02
"""Two measurements of one architecture in two processes differ by so much."""


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Bytes: weights, cache and whatever was held beside them, at the most."""
    return probed(metrics, "peak_memory_bytes")


PEAK_MEMORY = register(
    Objective(
        "peak_memory_bytes",
        "peak memory",
        "B",
        False,
        measure,
        DEVICE,
        NOISE,
        least=at_least(0.0),
        on_device=partial(on_device, "peak_memory_bytes"),
    )
)
