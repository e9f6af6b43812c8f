"""Random search: the baseline that an evolutionary algorithm has to beat with the same budget."""

from __future__ import annotations

from collections.abc import Sequence

from star_core.evolution.base import Problem, Purpose, register
from star_core.evolution.operators import complete
from star_core.evolution.survival import survive_by_crowding
from star_core.population.individual import Individual, Offspring


class RandomSearch:
    """New random valid genomes in every generation; the population is an archive kept as NSGA-II's."""

    def vary(
        self, problem: Problem, parents: Sequence[Individual], index: int, known: frozenset[str]
    ) -> list[Offspring]:
        """Random genomes; parents have no influence."""
        rng = problem.rng(index, Purpose.VARIATION)
        return complete(problem, [], index, problem.params.evolution.num_offspring, known, rng)

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The same survival as NSGA-II's."""
        return survive_by_crowding(problem, sorted(candidates, key=lambda candidate: candidate.id), index)


register("random_search", RandomSearch())
