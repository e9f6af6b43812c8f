"""Several models on one machine, measured side by side: what their process runs instead of a training.

Times are taken in turns, with all models open in one process; memory needs a process for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import torch

from star_core.architecture import Architecture
from star_core.compiler import compile_genome, planned_architecture
from star_core.config import FIRST_RUNTIME
from star_core.evaluation import Evaluation, Job
from star_core.genome.backbone import Genome
from star_core.genome.space import reading_space
from star_core.machine import fingerprint
from star_core.measurement import floor
from star_core.measurement.alone import Load, one_at_a_time, pin
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, begin, open_session
from star_core.measurement.probe import conditions_of, evaluation_of, small_twin, statistics
from star_core.measurement.sizes import read_bytes
from star_core.measurement.timing import Timing, in_turns

TIMES = ("prefill_seconds", "decode_seconds_per_token")


def memory(job: Job) -> Evaluation:
    """The ``peak_memory_bytes`` of one model; ``job.settings`` are its ``Conditions``."""
    conditions = conditions_of(job.settings, job.training)
    architecture = planned_architecture(job, conditions.vocab_size, "measurement")
    began = time.perf_counter()
    with one_at_a_time():
        machine = _settle(job, conditions.threads)
        device = _device(job, conditions)
        _, held = begin(architecture, small_twin(job, architecture), conditions, device)
    return evaluation_of(job, {"peak_memory_bytes": float(held)}, machine, began)


def times(job: Job) -> Evaluation:
    """The times of several models, all open at once.

    ``job.settings`` hold ``entries``: for each model its ``genome``, ``width``, ``head_dim`` and
    ``conditions``. Metrics are those of a single measurement, each behind the number of its entry and a
    slash, with the ``bytes_per_second`` of reading what it reads for a token; ``other_load`` and
    ``flops_per_second`` are of the machine.
    """
    entries = [
        (_architecture(entry), conditions_of(entry["conditions"], job.training))
        for entry in job.settings["entries"]
    ]
    threads, repeats = entries[0][1].threads, entries[0][1].repeats
    began = time.perf_counter()
    with one_at_a_time():
        machine = _settle(job, threads)
        sessions = [
            open_session(architecture, conditions, _device(job, conditions))
            for architecture, conditions in entries
        ]
        before = Load.now()
        found = [
            # All have read their prompts before any writes: filling the caches takes its time.
            in_turns([session.reading() for session in sessions], repeats),
            in_turns([session.writing() for session in sessions], repeats),
        ]
        metrics = {"other_load": before.of_others(), **_numbered(found)}
        for number, (architecture, conditions) in enumerate(entries):
            num_bytes = read_bytes(architecture, conditions.weights, conditions.context)
            speed = floor.bytes_per_second(num_bytes, sessions[number].device)
            metrics[f"{number}/bytes_per_second"] = speed
        metrics["flops_per_second"] = floor.flops_per_second(sessions[0].device)
    return evaluation_of(job, metrics, machine, began)


def _numbered(found: Iterable[list[Timing]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, timings in zip(TIMES, found, strict=True):
        for number, timing in enumerate(timings):
            own = {**statistics(name, timing), f"{name}_disturbed": timing.disturbed}
            metrics.update({f"{number}/{key}": value for key, value in own.items()})
    return metrics


def _architecture(entry: dict[str, Any]) -> Architecture:
    return compile_genome(
        Genome.parse(entry["genome"]),
        reading_space(),
        entry["width"],
        entry["head_dim"],
        entry["conditions"]["vocab_size"],
    )


def _settle(job: Job, threads: int) -> dict[str, Any]:
    """Takes the quietest cores, and says what machine this is."""
    machine = fingerprint(job.training.accelerator, threads)
    pin(threads)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return machine


def _device(job: Job, conditions: Conditions) -> Device:
    """Only this package's own steps run on a GPU."""
    is_eager = conditions.runtime == FIRST_RUNTIME
    return Device(fingerprint(job.training.accelerator if is_eager else "cpu", conditions.threads)["device"])
