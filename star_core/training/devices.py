"""Which processor a candidate gets, and how many candidates that makes at once. No torch here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from star_core.config import Training
from star_core.evaluation import machine_fingerprint


def _gpus() -> list[str]:
    """Identifiers of the GPUs this process may use, without asking CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    found = [path.name for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(index) for index in range(len(found))]


def device_of(slot: int, training: Training) -> str | None:
    """The GPU of a place in the pool, so that places share them out evenly; ``None``: no choice."""
    if machine_fingerprint(training.accelerator)["device"] != "gpu":
        return None
    gpus = _gpus()
    return gpus[slot % len(gpus)] if gpus else None


def default_workers(training: Training) -> int:
    """Candidates to train at once: one per GPU, or as many as have a core for each thread."""
    if machine_fingerprint(training.accelerator)["device"] == "gpu":
        return max(1, len(_gpus()))
    # The cores this process may use, where the system tells.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // training.threads)
