"""Repeated timing: the median and the spread of what was not disturbed."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WAITED = 0.05
"""Largest share of a repeat that its thread may have waited for a processor, to count as undisturbed."""
ATTEMPTS = 3
"""Repeats tried for each that is wanted, where others disturb them."""
_NORMAL = 1.4826
"""Standard deviation of a normal distribution, in units of its median absolute deviation."""

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one thing, over repeats.

    Attributes:
        median: Of the repeats.
        spread: Scaled median absolute deviation over the median: a standard deviation that outliers do not
            move, relative.
        low, high: 10 % and 90 % quantiles.
        repeats: How many count.
        disturbed: Share of them during which the thread had to wait for a processor; 0 unless there were
            too few others.
    """

    median: float
    spread: float
    low: float
    high: float
    repeats: int
    disturbed: float

    @classmethod
    def of(cls, seconds: list[float], disturbed: float = 0.0) -> Timing:
        """The statistics of at least one repeat."""
        values = np.asarray(seconds)
        middle = float(np.median(values))
        deviation = float(np.median(np.abs(values - middle)))
        low, high = (float(value) for value in np.quantile(values, (0.1, 0.9)))
        return cls(middle, _NORMAL * deviation / middle, low, high, len(seconds), disturbed)


def timing(
    work: Work,
    repeats: int,
    warmup: int = 2,
    prepare: Work = lambda: None,
    share: int = 1,
    busy: bool = True,
) -> Timing:
    """Times ``work``.

    A repeat in which this thread waited for a processor is done again, up to ``ATTEMPTS`` times as many in
    all. If others let fewer than ``repeats`` through even so, all count, and the result says so.

    Args:
        work: What is timed; returns when it is done, on a GPU too.
        repeats: Undisturbed repeats wanted.
        warmup: Runs before the first.
        prepare: Runs before each, untimed.
        share: Seconds are divided by this (steps).
        busy: Whether the thread works all the time, so that waiting means others. On a GPU it does not.
    """
    for _ in range(warmup):
        prepare()
        work()
    clean: list[float] = []
    every: list[float] = []
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        while len(clean) < repeats and len(every) < ATTEMPTS * repeats:
            prepare()
            wall, own = time.perf_counter(), time.thread_time()
            work()
            own, wall = time.thread_time() - own, time.perf_counter() - wall
            every.append(wall / share)
            if not busy or own >= (1 - WAITED) * wall:
                clean.append(wall / share)
    finally:
        if collects:
            gc.enable()
    if len(clean) == repeats:
        return Timing.of(clean)
    return Timing.of(every, 1 - len(clean) / len(every))
