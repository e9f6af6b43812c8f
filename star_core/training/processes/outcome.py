"""How a training ends: its record, however it ended. Nothing here imports torch."""

from __future__ import annotations

from datetime import UTC, datetime

from star_core.evaluation import Evaluation, Job, Status
from star_core.machine import machine_fingerprint

_MEMORY_MESSAGES = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")
_LOST_DEVICE_MESSAGES = (
    "no cuda gpus are available",
    "no cuda-capable device is detected",
    "cuda-capable device(s) is/are busy or unavailable",
    "invalid device ordinal",
    "gpu is lost",
    "system not yet initialized",
    "uncorrectable ecc error",
    "cuda driver initialization failed",
)
"""What CUDA and torch say when there is no device, or none any more (CUDA runtime API, error codes)."""


class Diverged(Exception):  # noqa: N818
    """A training whose loss or gradient left the finite numbers, or ran away.

    Args:
        reason: One line for people.
        steps: Steps finished before.
    """

    def __init__(self, reason: str, steps: int = 0) -> None:
        self.reason, self.steps = reason, steps
        super().__init__(reason)


def failed(
    job: Job,
    status: Status,
    detail: str,
    seconds: float,
    *,
    tokens: int = 0,
    flops: int = 0,
    limits: dict[str, float] | None = None,
) -> Evaluation:
    """The record of a candidate that has no metrics.

    Args:
        job: What was to be trained.
        status: How it failed.
        detail: Why, in one line; longer text is cut.
        seconds: Wall time it took.
        tokens: Tokens it is known to have been trained on.
        flops: FLOPs of that.
        limits: The limit it ran into, by its name in ``runtime``.
    """
    return Evaluation(
        key=job.key,
        digest=job.digest,
        genome=job.genome,
        status=status,
        metrics={},
        detail=" ".join(detail.split())[:500],
        tokens=tokens,
        flops=flops,
        seconds={"total": seconds},
        limits=limits or {},
        machine=machine_fingerprint(job.training.accelerator),
        finished_at=now(),
    )


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch or the system refused to allocate memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, (RuntimeError, OSError)) and any(part in text for part in _MEMORY_MESSAGES)


def is_device_lost(error: BaseException) -> bool:
    """Whether the device went away, which no candidate is to blame for."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _LOST_DEVICE_MESSAGES)
