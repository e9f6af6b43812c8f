"""Where nobody meets the constraints: who comes nearest, which limits are broken, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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

    def __str__(self) -> str:
        entry = described(self.name)
        over = entry.text(self.value)
        if self.limit:
            over = units.percent(excess(self.value, self.limit), 1)
        return f"{entry.title} {entry.text(self.value)}, {over} over {entry.text(self.limit)}"


def breaches(objectives: Mapping[str, float | None], constraints: Mapping[str, float]) -> tuple[Breach, ...]:
    """The constraints that these objectives break, the furthest broken first: that limit binds."""
    broken = [
        Breach(name, value, limit)
        for name, limit in constraints.items()
        if (value := objectives.get(name)) is not None and value > limit
    ]
    return tuple(sorted(broken, key=lambda breach: -excess(breach.value, breach.limit)))


def nearest(generation: Generation) -> tuple[Individual, ...]:
    """Members of the population that break the constraints least, of those that did not fail.

    Empty if one meets the constraints.
    """
    known = [individual for individual in generation.population if individual.has_standing]
    if any(individual.violation == 0 for individual in known):
        return ()
    return tuple(sorted(known, key=lambda individual: (individual.violation, individual.id))[:SHOWN])


def in_words(individual: Individual, constraints: Mapping[str, float]) -> str:
    """Which limits a candidate breaks and by how much: ``parameters 143k, 43.0 % over 100k``."""
    return "; ".join(map(str, breaches(individual.objectives, constraints)))
