"""Measuring architectures for people: each in a process of its own, nothing kept. Does not import torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from star_core.architecture import Architecture
from star_core.config import Model, Params, Training
from star_core.errors import StarError
from star_core.evaluation import Evaluation, Job
from star_core.genome.space import CLASS_TABLE
from star_core.measurement.side_by_side import Entry, Row, SideBySide
from star_core.objectives.latency import DEVICE
from star_core.training.processes.pool import CandidatePool

DEADLINE_SECONDS = 900.0
_NO_KEY = "0" * 64
_TURNS = "star_core.measurement.turns"


def measure_all(
    architectures: Iterable[Architecture], params: Params, repeats: int
) -> Iterator[tuple[Architecture, Evaluation]]:
    """Each architecture with its measurement, one after the other.

    Args:
        architectures: What to measure.
        params: Prompt and cache length, accelerator and threads.
        repeats: Undisturbed repeats of each timing.

    Raises:
        StarError: One could not be measured; says why.
    """
    with (
        tempfile.TemporaryDirectory(prefix="star-measure-") as folder,
        CandidatePool(1, DEADLINE_SECONDS, _memory_mib(), params.training.threads) as pool,
    ):
        for number, architecture in enumerate(architectures):
            # A store of its own: the same architecture twice is measured twice.
            job = _job(architecture, params, repeats, f"{folder}/{number}")
            yield architecture, _run(pool, job)


def measure_side_by_side(entries: Sequence[Entry], training: Training, repeats: int) -> SideBySide:
    """Times of all entries, taken in turns by one process; the memory of each, by one of its own.

    Args:
        entries: What to measure, all behind one context and with one number of threads.
        training: Accelerator and threads.
        repeats: Undisturbed repeats of each timing.

    Raises:
        StarError: One could not be measured; says why.
    """
    with (
        tempfile.TemporaryDirectory(prefix="star-measure-") as folder,
        CandidatePool(1, DEADLINE_SECONDS, _memory_mib(), training.threads) as pool,
    ):
        held = []
        for number, entry in enumerate(entries):
            job = _job(entry.architecture, entry.params, repeats, f"{folder}/{number}")
            held.append(_run(pool, replace(job, probe=f"{_TURNS}:memory")).metrics["peak_memory_bytes"])
        plans = [
            {
                "genome": str(entry.architecture.genome),
                "width": entry.architecture.width,
                "head_dim": entry.architecture.dims.head_dim,
                "conditions": _job(entry.architecture, entry.params, repeats, "").settings,
            }
            for entry in entries
        ]
        first = _job(entries[0].architecture, entries[0].params, repeats, f"{folder}/times")
        found = _run(pool, replace(first, probe=f"{_TURNS}:times", settings={"entries": plans}))
    rows = [
        Row(entry, {**_own(found.metrics, number), "peak_memory_bytes": held[number]})
        for number, entry in enumerate(entries)
    ]
    return SideBySide(
        tuple(rows), found.metrics["flops_per_second"], found.metrics["other_load"], found.machine
    )


def _own(metrics: Mapping[str, float], number: int) -> dict[str, float]:
    start = f"{number}/"
    return {name.removeprefix(start): value for name, value in metrics.items() if name.startswith(start)}


def _run(pool: CandidatePool, job: Job) -> Evaluation:
    evaluation = pool.run(job)
    if evaluation.status != "ok":
        raise StarError(
            f"could not be measured: {evaluation.status.replace('_', ' ')} ({evaluation.detail})",
            value=job.genome,
            place="star measure",
            fix="use a shorter --prompt or --context, or a smaller --width"
            if evaluation.status in ("out_of_memory", "deadline")
            else "use another --runtime, or leave this genome out",
        )
    return evaluation


def _job(architecture: Architecture, params: Params, repeats: int, storage: str) -> Job:
    dims = architecture.dims
    candidate = Job(
        genome=str(architecture.genome),
        space=CLASS_TABLE,
        model=Model(width=dims.width, head_dim=dims.head_dim),
        training=params.training,
        data="",
        data_digest="",
        digest=architecture.digest,
        key=_NO_KEY,
        storage=storage,
    )
    job = DEVICE.job(candidate, params, architecture.vocab_size)
    job.settings["repeats"] = repeats
    return job


def _memory_mib() -> int:
    """All that there is: whoever measures for themselves is not to be stopped short of it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (ValueError, OSError):
        return 1 << 20
