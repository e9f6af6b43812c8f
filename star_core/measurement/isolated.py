"""Measuring architectures for people: each in a process of its own, nothing kept. Does not import torch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator

from star_core.architecture import Architecture
from star_core.config import Model, Params
from star_core.errors import StarError
from star_core.evaluation import Evaluation, Job
from star_core.genome.space import CLASS_TABLE
from star_core.objectives.latency import DEVICE
from star_core.training.processes.pool import CandidatePool

DEADLINE_SECONDS = 900.0
_NO_KEY = "0" * 64


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
            evaluation = pool.run(job)
            if evaluation.status != "ok":
                raise StarError(
                    f"could not be measured: {evaluation.status.replace('_', ' ')} ({evaluation.detail})",
                    value=str(architecture.genome),
                    place="star measure",
                    fix="use a shorter --prompt or --context, or a smaller --width",
                )
            yield architecture, evaluation


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
