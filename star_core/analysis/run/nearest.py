"""Where nobody meets the constraints: who comes nearest, which limits are broken, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from star_core import units
from star_core.objectives.base import described, excess
from star_core.population.generation import Generation
from star_core.population.individual import Individual

SHOWN = 5
"""Candidates that are shown at most."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A constraint that a candidate does not meet.

    Attributes:
        name: Of the objective.
        value: Of the candidate.
        limit: The most that is allowed.
    """

    name: str
    value: float
    limit: float

    @property
    def over(self) -> str:
        """By how much: a share of the limit, or the value where that is 0."""
        over = described(self.name).text(self.value)
        return f"{units.percent(excess(self.value, self.limit), 1) if self.limit else over} over"

    def __str__(self) -> str:
        entry = described(self.name)
        return f"{entry.title} {entry.text(self.value)}, {self.over} {entry.text(self.limit)}"


def breaches(objectives: Mapping[str, float | None], constraints: Mapping[str, float]) -> tuple[Breach, ...]:
    """The constraints that these objectives break, the furthest broken first: that limit binds."""
    broken = [
        Breach(name, value, limit)
        for name, limit in constraints.items()
        if (value := objectives.get(name)) is not None and value > limit
    ]
    return tuple(sorted(broken, key=lambda breach: -excess(breach.value, breach.limit)))


class Judged(Protocol):
    """A candidate whose violation of some limits is known."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def objectives(self) -> Mapping[str, float | None]:
        """Name → value."""

    @property
    def violation(self) -> float:
        """0: it breaks none."""


J = TypeVar("J", bound=Judged)


def nearest(generation: Generation) -> tuple[Individual, ...]:
    """Members of the population that break the constraints least, of those that did not fail.

    Empty if one meets the constraints.
    """
    return nearest_of([individual for individual in generation.population if individual.has_standing])


def nearest_of(known: Sequence[J]) -> tuple[J, ...]:
    """Those of some candidates that break the limits least; empty if one meets them."""
    if any(candidate.violation == 0 for candidate in known):
        return ()
    return tuple(sorted(known, key=lambda candidate: (candidate.violation, candidate.id))[:SHOWN])


def in_words(candidate: Judged, constraints: Mapping[str, float]) -> str:
    """Which limits a candidate breaks and by how much: ``parameters 143k, 43.0 % over 100k``."""
    return "; ".join(map(str, breaches(candidate.objectives, constraints)))
