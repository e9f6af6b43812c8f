"""The probe of a candidate's cost on this machine: what its process runs instead of a training."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import torch

from star_core.architecture import Architecture
from star_core.compiler import job_architecture, planned_architecture
from star_core.config import FIRST_RUNTIME, Model, Training
from star_core.errors import ConfigError, GenomeError
from star_core.evaluation import Evaluation, Job
from star_core.machine import fingerprint
from star_core.measurement import floor
from star_core.measurement.alone import Load, one_at_a_time, pin
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, Session, begin
from star_core.measurement.timing import Timing
from star_core.objectives.runtimes import runtime
from star_core.training.processes.outcome import now

TWIN_WIDTH = 16
"""Channels of the small model that runs first."""
OTHERS = 0.25
"""Share of the machine's cores that others may keep busy before a timing counts as disturbed."""
_PAUSE = 1.0
"""Seconds between two rounds."""


def measure(job: Job) -> Evaluation:
    """Time to first token, time per token and peak memory of an architecture, alone on its cores.

    ``job.settings`` are the ``Conditions``, which name the runtime. Metrics are ``prefill_seconds``,
    ``decode_seconds_per_token`` and ``peak_memory_bytes``; for each time also its name with ``_spread``,
    ``_low`` and ``_high`` (``Timing``); ``disturbed`` (share of repeats) and ``other_load`` (cores of
    others), which say how far to trust them; and the machine's ``flops_per_second`` and ``bytes_per_second``.
    What others disturb is timed again, and marked if that did not help.

    Raises:
        GenomeError: The genome is not valid.
        ConfigError: It compiles to another architecture than the job says, or the accelerator is none that
            can be measured.
        StarError: Another measurement does not end.
    """
    recipe = job.training
    conditions = conditions_of(job.settings, recipe)
    chosen = runtime(conditions.runtime, conditions.weights)
    architecture = planned_architecture(job, conditions.vocab_size, "measurement")
    # Only this package's own steps run on a GPU.
    is_eager = conditions.runtime == FIRST_RUNTIME
    machine = fingerprint(recipe.accelerator if is_eager else "cpu", conditions.threads)
    machine["runtime"] = f"{chosen.name} {chosen.version}, {conditions.weights}"
    began = time.perf_counter()
    with one_at_a_time():
        pin(conditions.threads)
        torch.set_num_threads(conditions.threads)
        torch.set_flush_denormal(True)
        device = Device(machine["device"])
        session, peak_memory = begin(architecture, small_twin(job, architecture), conditions, device)
        metrics = {"peak_memory_bytes": float(peak_memory), **_times(session, conditions.rounds)}
        num_bytes = 4 * architecture.num_parameters + architecture.cache_bytes(conditions.context)
        metrics["flops_per_second"] = floor.flops_per_second(device)
        metrics["bytes_per_second"] = floor.bytes_per_second(num_bytes, device)
    return evaluation_of(job, metrics, machine, began)


def evaluation_of(job: Job, metrics: dict[str, float], machine: dict[str, Any], began: float) -> Evaluation:
    """What was measured since ``began``, by ``time.perf_counter``, as the outcome of a job."""
    return Evaluation(
        key=job.key,
        digest=job.digest,
        genome=job.genome,
        status="ok",
        metrics=metrics,
        detail="",
        tokens=0,
        flops=0,
        seconds={"total": time.perf_counter() - began},
        limits={},
        machine=machine,
        finished_at=now(),
    )


def conditions_of(settings: Mapping[str, Any], recipe: Training) -> Conditions:
    """The conditions that a job states; as many threads as a training where it states none."""
    return Conditions(**{"threads": recipe.threads, **settings})


def _times(session: Session, most: int) -> dict[str, float]:
    """The metrics of the least disturbed round."""
    rounds = []
    for attempt in range(most):
        if attempt:
            time.sleep(_PAUSE)
        before = Load.now()
        times = {"prefill_seconds": session.prefill_time(), "decode_seconds_per_token": session.decode_time()}
        load = before.of_others()
        disturbed = max(timing.disturbed for timing in times.values())
        rounds.append((disturbed, load, times))
        if not disturbed and load <= OTHERS * (os.cpu_count() or 1):
            break
    disturbed, load, times = min(rounds, key=lambda measured: measured[:2])
    metrics = {"disturbed": disturbed, "other_load": load}
    for name, timing in times.items():
        metrics.update(statistics(name, timing))
    return metrics


def statistics(name: str, timing: Timing) -> dict[str, float]:
    """The metrics of one timing."""
    return {
        name: timing.median,
        f"{name}_spread": timing.spread,
        f"{name}_low": timing.low,
        f"{name}_high": timing.high,
    }


def small_twin(job: Job, architecture: Architecture) -> Architecture:
    """The genome at a small width, or as it is where it cannot be built so small."""
    try:
        return job_architecture(job, architecture.vocab_size, Model(width=min(TWIN_WIDTH, job.model.width)))
    except (ConfigError, GenomeError):
        return architecture
