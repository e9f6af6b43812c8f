"""Repeated timing: the median and the spread of what was not disturbed. Needs numpy alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

STEPS = 16
"""Tokens written in one repeat."""
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


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Task:
    """Something that is timed again and again.

    Attributes:
        work: Returns when it is done, on a GPU too.
        prepare: Runs before each, untimed.
        share: Seconds are divided by this (steps).
        busy: Whether the thread works all the time, so that waiting means others. On a GPU it does not.
    """

    work: Work
    prepare: Work = _nothing
    share: int = 1
    busy: bool = True

    def run(self) -> None:
        """Once, untimed."""
        self.prepare()
        self.work()

    def seconds(self) -> tuple[float, bool]:
        """Of the work, once, and whether others disturbed it."""
        self.prepare()
        wall, own = time.perf_counter(), time.thread_time()
        self.work()
        own, wall = time.thread_time() - own, time.perf_counter() - wall
        return wall / self.share, self.busy and own < (1 - WAITED) * wall


def timing(task: Task, repeats: int, warmup: int = 2) -> Timing:
    """Times one task, as ``in_turns``."""
    return in_turns([task], repeats, warmup)[0]


def in_turns(
    tasks: Sequence[Task],
    repeats: int,
    warmup: int = 2,
    seed: int = 0,
    after_round: Callable[[int], object] = lambda done: None,
) -> list[Timing]:
    """Times tasks in rounds, so that what else happens meanwhile meets all of them alike.

    In each round every task has one repeat, in an order that is drawn anew. Of several, each runs once
    untimed before: the others have taken its place in the processor's caches.

    A repeat in which this thread waited for a processor is done again, up to ``ATTEMPTS`` times as many in
    all. If others let fewer than ``repeats`` through even so, all count, and the result says so.

    Args:
        tasks: At least one.
        repeats: Undisturbed repeats wanted of each.
        warmup: Runs of each before the first round.
        seed: Of the order.
        after_round: Called with the number of rounds done.
    """
    for task in tasks:
        for _ in range(warmup):
            task.run()
    numbers = np.random.default_rng(seed)
    clean: list[list[float]] = [[] for _ in tasks]
    every: list[list[float]] = [[] for _ in tasks]
    going, rounds = list(range(len(tasks))), 0
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        while going:
            for index in numbers.permutation(going):
                if len(tasks) > 1:
                    tasks[index].run()
                seconds, disturbed = tasks[index].seconds()
                every[index].append(seconds)
                if not disturbed:
                    clean[index].append(seconds)
            rounds += 1
            after_round(rounds)
            going = [
                index
                for index in going
                if len(clean[index]) < repeats and len(every[index]) < ATTEMPTS * repeats
            ]
    finally:
        if collects:
            gc.enable()
    return [
        Timing.of(kept) if len(kept) == repeats else Timing.of(all_of_it, 1 - len(kept) / len(all_of_it))
        for kept, all_of_it in zip(clean, every, strict=True)
    ]
