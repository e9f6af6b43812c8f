"""A plain genetic algorithm, as in the paper's comparison (arXiv 2411.17800, §4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from star_core.evolution.base import Problem, register
from star_core.evolution.fitness import fitness, fittest_first
from star_core.evolution.operators import Recombination
from star_core.evolution.survival import survive_in_order
from star_core.population.individual import Individual


class Genetic(Recombination):
    """Offspring replace their parents, but for the elites; nothing keeps the population diverse.

    Several objectives make one fitness: front, then sum of places (see ``fitness.py``). Tournaments and
    elites go by it. Parents stay beyond the elites only where feasible offspring do not fill the population.
    """

    def order(self, problem: Problem, parents: Sequence[Individual]) -> Mapping[str, tuple[float, ...]]:
        """Name → fitness."""
        return fitness(problem, parents)

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The fittest ``evolution.elites`` of all, then offspring, then parents."""
        elites = problem.params.evolution.elites
        best = fittest_first(problem, candidates)
        rest = sorted(best[elites:], key=lambda candidate: candidate.born != index)
        return survive_in_order(problem, [*best[:elites], *rest])


register("genetic", Genetic())
