"""The probe of the energy objective: runs in a process of its own, on the machine it measures."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np

from star_core.evaluation import Evaluation, Job
from star_core.machine import fingerprint

SIZE = 256


def measure(job: Job) -> Evaluation:
    """Joules of a floating-point operation, from the time of matrix products and the power that is drawn."""
    began = time.perf_counter()
    a = np.ones((SIZE, SIZE), np.float32)
    times = []
    for _ in range(50):  # the least of many is undisturbed, even where others compute
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    metrics = {"joules_per_flop": job.settings["watts"] * min(times) / (2 * SIZE**3)}
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
        machine=fingerprint(job.training.accelerator, job.training.threads),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
