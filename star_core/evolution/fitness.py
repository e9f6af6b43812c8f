"""One order of all candidates, for algorithms that compare candidates by a single fitness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from star_core.evolution.base import Problem
from star_core.evolution.survival import objectives, violation
from star_core.population.individual import Individual

Fitness = tuple[float, int, int]
"""Violation, front, and sum of places; less is fitter."""


def fitness(problem: Problem, candidates: Sequence[Individual]) -> dict[str, Fitness]:
    """Name → fitness among ``candidates``: feasible first, then by front, then by sum of places.

    A place is the number of candidates that are strictly better in one objective: the average ranking of
    Bentley and Wakefield (1997), which needs no scale and lets no objective outweigh another. With one
    objective it is the order of its values.
    """
    feasible = [candidate for candidate in candidates if not violation(problem, candidate)]
    values = objectives(problem, feasible)
    front, place = np.zeros(len(feasible), dtype=int), np.zeros(len(feasible), dtype=int)
    for rank, members in enumerate(NonDominatedSorting().do(values)):
        front[members] = rank
    for column in values.T:
        place += np.searchsorted(np.sort(column), column)
    standings = {
        candidate.id: (0.0, int(front[row]), int(place[row])) for row, candidate in enumerate(feasible)
    }
    return {
        candidate.id: standings.get(candidate.id, (violation(problem, candidate), 0, 0))
        for candidate in candidates
    }


def fittest_first(problem: Problem, candidates: Sequence[Individual]) -> list[Individual]:
    """Candidates by fitness; equally fit ones by name."""
    fit = fitness(problem, candidates)
    return sorted(candidates, key=lambda candidate: (fit[candidate.id], candidate.id))
