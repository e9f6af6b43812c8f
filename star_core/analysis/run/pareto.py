"""Fronts and hypervolume of a run, per generation and per trained token."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymoo.indicators.hv import Hypervolume
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from star_core.analysis.run.outcomes import INFEASIBLE, STOPPED, has_failed
from star_core.analysis.span import share
from star_core.errors import StarError
from star_core.population.generation import Generation
from star_core.population.individual import Individual

REFERENCE = 1.1
"""Reference point on every normalised objective: a tenth of the founders' range beyond their worst."""

BEST = -1.0
"""Normalised values are clipped here: one founders' range better than the best founder."""

Point = tuple[float, ...]


def non_dominated(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the points no other dominates, in their order; equal points are all kept."""
    best = NonDominatedSorting().do(np.array(points, dtype=float), only_non_dominated_front=True)
    return [int(index) for index in best]


def values_of(individual: Individual, names: Sequence[str]) -> Point | None:
    """Its objectives by name; ``None`` unless it was trained, is feasible and has all of them."""
    if not individual.ok or individual.violation > 0:
        return None
    return point_of(individual.objectives, names)


def point_of(objectives: Mapping[str, float | None], names: Sequence[str]) -> Point | None:
    """Objectives by name; ``None`` unless all of them are known."""
    known = [value for name in names if (value := objectives.get(name)) is not None]
    return tuple(known) if len(known) == len(names) else None


def front(individuals: Iterable[Individual], names: Sequence[str]) -> tuple[Individual, ...]:
    """The feasible, successfully trained individuals that no other such individual dominates."""
    known = [
        (individual, point)
        for individual in individuals
        if (point := values_of(individual, names)) is not None
    ]
    return tuple(known[index][0] for index in non_dominated([point for _, point in known]))


@dataclass(frozen=True, slots=True)
class Scale:
    """One objective on the scale that hypervolume is measured on.

    Attributes:
        low, high: Best and worst value among the founders; 0 and 1 on the scale.
        logarithmic: Whether ratios count rather than differences.
    """

    low: float
    high: float
    logarithmic: bool

    def __call__(self, value: float) -> float:
        """The normalised value, at least ``BEST``."""
        if self.logarithmic and value <= 0:
            return BEST
        # Beyond the reference point nothing counts, so that what no float holds may be cut off there.
        return max(BEST, min(share(value, self.low, self.high, self.logarithmic), sys.float_info.max))


@dataclass(frozen=True)
class Normalisation:
    """The fixed frame in which the hypervolumes of one run are compared.

    It is derived from the founders alone. They exist before anything is evolved, so adding
    generations, or training baselines later, never changes a hypervolume already reported. Each
    objective is taken logarithmically (a tenth fewer parameters counts the same for small and large
    models) unless a founder has a value that is not positive, and mapped so that the best founder is
    at 0 and the worst at 1. The reference point is ``REFERENCE`` on every axis, so that the worst
    founders still count a little. Gains beyond the best founder count up to one founders' range
    (``BEST``), so that a single extreme candidate, for example one without any cache, cannot
    outweigh everything else. The unit is therefore the founders' box: 1.0 is its volume.

    Attributes:
        names: Objectives, in order.
        scales: One per objective.
    """

    names: tuple[str, ...]
    scales: tuple[Scale, ...]

    @classmethod
    def of_founders(cls, founders: Iterable[Individual], names: Sequence[str]) -> Normalisation:
        """The frame of a run.

        An objective on which all founders agree gets the range of one doubling.

        Raises:
            StarError: No founder was trained.
        """
        trained = [founder for founder in founders if founder.ok]
        if not trained:
            raise StarError(
                "no founder was trained, so objectives have no scale",
                place="generation 0",
                fix="evolve the run again with a lower training.learning_rate",
            )
        return cls(
            tuple(names),
            tuple(_scale([founder.objectives.get(name) for founder in trained]) for name in names),
        )

    @classmethod
    def of_runs(cls, runs: Iterable[Iterable[Generation]], names: Sequence[str]) -> Normalisation:
        """One frame for all of these runs: of their founders.

        Where all founders of a run are over a limit, and so were not trained, the first generation takes
        their place of which anyone was: before it, hypervolume is 0 in any frame.
        """
        begun = [
            next((found.born for found in run if any(member.ok for member in found.born)), ()) for run in runs
        ]
        if not any(begun):
            return cls(tuple(names), tuple(_scale([]) for _ in names))
        return cls.of_founders([member for born in begun for member in born], names)

    @property
    def largest(self) -> float:
        """The hypervolume that no front can exceed."""
        return float((REFERENCE - BEST) ** len(self.names))

    def hypervolume(self, points: Iterable[Sequence[float]]) -> float:
        """Volume dominated by raw objective vectors, in units of the founders' box; 0 without any."""
        scaled = [[scale(v) for scale, v in zip(self.scales, point, strict=True)] for point in points]
        if not scaled:
            return 0.0
        indicator = Hypervolume(ref_point=np.full(len(self.names), REFERENCE))
        return float(indicator(np.array(scaled)))

    def hypervolume_of(self, individuals: Iterable[Individual]) -> float:
        """As ``hypervolume``, of the feasible, trained ones among these."""
        points = (values_of(individual, self.names) for individual in individuals)
        return self.hypervolume([point for point in points if point is not None])


def _scale(values: Iterable[float | None]) -> Scale:
    known = [value for value in values if value is not None]
    if not known:
        return Scale(1.0, 2.0, True)
    low, high = min(known), max(known)
    logarithmic = low > 0
    if high == low:
        high = 2 * low if logarithmic else low + max(1.0, abs(low))
    if math.isinf(high):
        low, high = low / 2, low
    return Scale(low, high, logarithmic)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stood after one generation.

    Attributes:
        generation: Its index.
        evaluated: Candidates trained so far; one architecture and recipe counts once.
        failed: How many of those could not be trained.
        stopped: How many of those were not trained to the end, because others did better.
        tokens: Tokens trained on so far, over all of them.
        flops: Training FLOPs so far.
        front_size: Members of the population's front.
        hypervolume: Hypervolume of the population.
        hypervolume_all: Hypervolume of everything evaluated so far; never falls.
    """

    generation: int
    evaluated: int
    failed: int
    stopped: int
    tokens: int
    flops: int
    front_size: int
    hypervolume: float
    hypervolume_all: float


def fresh(generations: Sequence[Generation]) -> Iterator[tuple[Generation, tuple[Individual, ...]]]:
    """Each generation with the individuals that were really evaluated for it.

    A candidate whose evaluation an earlier generation already paid for is left out, and so is one that was
    not trained, since it is over a limit.
    """
    paid: set[str] = set()
    for generation in generations:
        born = tuple(
            individual
            for individual in generation.born
            if individual.key not in paid and individual.status != INFEASIBLE
        )
        paid |= {individual.key for individual in born}
        yield generation, born


def progress(
    generations: Sequence[Generation], names: Sequence[str], frame: Normalisation | None = None
) -> list[Progress]:
    """The run's course, one entry per generation."""
    if not generations:
        return []
    frame = frame or Normalisation.of_runs([generations], names)
    seen: list[Individual] = []
    best: tuple[Individual, ...] = ()
    rows = []
    for generation, born in fresh(generations):
        seen += born
        best = front((*best, *born), names)
        rows.append(
            Progress(
                generation=generation.index,
                evaluated=len(seen),
                failed=sum(has_failed(individual) for individual in seen),
                stopped=sum(individual.status == STOPPED for individual in seen),
                tokens=sum(individual.cost.tokens for individual in seen),
                flops=sum(individual.cost.flops for individual in seen),
                front_size=len(front(generation.population, names)),
                hypervolume=frame.hypervolume_of(generation.population),
                hypervolume_all=frame.hypervolume_of(best),
            )
        )
    return rows
