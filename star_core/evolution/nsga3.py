"""NSGA-III (Deb and Jain 2014): as NSGA-II, but the last front is thinned along reference directions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.util.reference_direction import UniformReferenceDirectionFactory, get_partition_closest_to_points

from star_core.evolution.base import Problem, register
from star_core.evolution.operators import Recombination
from star_core.evolution.survival import survive_by
from star_core.population.individual import Individual

MOST_DIRECTIONS = 500
"""Evenly spaced reference directions at most; otherwise as many as the population has members, or fewer."""


class NSGA3(Recombination):
    """Survival spread over directions rather than by distance: for three objectives and more.

    Ideal point and hyperplane are those of the candidates at hand, not of all earlier generations, so
    that survival depends on nothing that is not stored. Parents are chosen as in NSGA-II.
    """

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The best by front; of the last front, those nearest to the directions that are least taken."""
        objectives = len(problem.params.objectives.selected)
        most = min(problem.params.evolution.population, MOST_DIRECTIONS)
        partitions = get_partition_closest_to_points(most, objectives)
        directions = UniformReferenceDirectionFactory(objectives, n_partitions=partitions).do()
        with warnings.catch_warnings():  # pymoo changes the program's filters
            return survive_by(problem, candidates, index, ReferenceDirectionSurvival(directions))


register("nsga3", NSGA3())
