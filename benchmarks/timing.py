"""Measuring side by side: members of a comparison in turn, medians, ratios within a round.

Only ratios hold on a machine that others use as well. So all members of a comparison run round after
round, one after the other, and a ratio is the median of the ratios within a round.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]
Clock = Callable[[], float]

CLOCKS: Mapping[str, Clock] = {"cpu": time.process_time, "wall": time.perf_counter}
"""``cpu`` does not count while other processes have the processor; on one thread it is else the same."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times faster one member is than another: median, smallest and largest of the rounds."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Seconds of ``theirs`` per second of ``ours``, round by round."""
        ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        digits = 2 if self.middle < 20 else 1
        return f"{self.middle:.{digits}f}x ({self.low:.{digits}f}..{self.high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Member:
    """One side of a comparison.

    Attributes:
        name: In the table.
        work: What is timed.
        prepare: Runs before each ``work``, untimed.
        share: The seconds of ``work`` are divided by this (steps, repetitions).
    """

    name: str
    work: Work
    prepare: Work = lambda: None
    share: int = 1


def seconds_of(member: Member, clock: Clock) -> float:
    """Seconds of one run, of which collecting garbage is not a part."""
    member.prepare()
    gc.collect()
    gc.disable()
    try:
        begin = clock()
        member.work()
        return (clock() - begin) / member.share
    finally:
        gc.enable()


def in_turn(members: Sequence[Member], rounds: int, clock: Clock, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of every member in every round; ``warmup`` rounds before them are not counted."""
    seconds: dict[str, list[float]] = {member.name: [] for member in members}
    for index in range(warmup + rounds):
        for member in members:
            taken = seconds_of(member, clock)
            if index >= warmup:
                seconds[member.name].append(taken)
    return seconds


def fastest(members: Sequence[Member], clock: Clock) -> Member:
    """The member with the shortest of two runs after a first; alone, it is not run at all."""
    if len(members) == 1:
        return members[0]
    seconds = in_turn(members, 2, clock)
    return min(members, key=lambda member: min(seconds[member.name]))


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The p of the least-squares fit cost = c · size^p."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    x0, y0 = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - x0) * (y - y0) for x, y in zip(xs, ys, strict=True)) / sum((x - x0) ** 2 for x in xs)
