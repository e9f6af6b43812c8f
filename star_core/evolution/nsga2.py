"""NSGA-II (Deb et al. 2002), the paper's default: non-dominated sorting, crowding, elitist survival."""

from __future__ import annotations

from collections.abc import Sequence

from star_core.evolution.base import Problem, register
from star_core.evolution.operators import Recombination
from star_core.evolution.survival import survive_by_crowding
from star_core.population.individual import Individual


class NSGA2(Recombination):
    """Non-dominated sorting genetic algorithm II, survival over parents and offspring."""

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The best by front, the least crowded of the last front."""
        return survive_by_crowding(problem, candidates, index)


register("nsga2", NSGA2())
