"""Seconds on this very machine: until the first token is written, and for each token behind a context."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from star_core.architecture import Architecture
from star_core.config import FIRST_RUNTIME, Objectives, Params
from star_core.objectives.base import Objective, at_least, register
from star_core.objectives.devices import on_device
from star_core.objectives.probe import Probe, probed
from star_core.objectives.runtimes import runtime

REPEATS = 15
"""Undisturbed repeats of each timing."""
NOISE = 0.05
"""Two measurements of one architecture in two processes differ by so much."""


def settings(params: Params, vocab_size: int) -> dict[str, Any]:
    """The conditions of ``star_core.measurement.inference``; the context is that of the cache's size."""
    section = params.objectives
    conditions: dict[str, Any] = {
        "vocab_size": vocab_size,
        "prompt": section.prompt_length,
        "context": section.cache_length,
        "repeats": REPEATS,
    }
    chosen = runtime(section.runtime, section.weights)
    if section.threads is not None:
        conditions["threads"] = section.threads
    if chosen.name == FIRST_RUNTIME:  # keys of measurements that were made when there was no other
        return conditions
    return {**conditions, "runtime": chosen.name, "weights": section.weights, "version": chosen.version}


DEVICE = Probe(
    "star_core.measurement.probe:measure", settings, alone=True, name="star_core.measurement.probe:measure"
)


def prefill(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Seconds to read a prompt of ``prompt_length`` tokens and choose the next."""
    return probed(metrics, "prefill_seconds")


def decode(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Seconds a token, with ``cache_length`` tokens held."""
    return probed(metrics, "decode_seconds_per_token")


PREFILL_SECONDS = register(
    Objective(
        "prefill_seconds",
        "time to first token",
        "s",
        False,
        prefill,
        DEVICE,
        NOISE,
        least=at_least(0.0),
        on_device=partial(on_device, "prefill_seconds"),
    )
)
DECODE_SECONDS = register(
    Objective(
        "decode_seconds_per_token",
        "time per token",
        "s",
        False,
        decode,
        DEVICE,
        NOISE,
        least=at_least(0.0),
        on_device=partial(on_device, "decode_seconds_per_token"),
    )
)
