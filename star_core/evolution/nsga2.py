"""NSGA-II (Deb et al. 2002), the paper's default: non-dominated sorting, crowding, elitist survival."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pymoo.core.individual import Individual as PymooIndividual
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from star_core.evolution.base import Problem, Purpose, register
from star_core.evolution.operators import vary
from star_core.population.individual import Individual, Offspring

FAILED = 1e30
"""Violation of a candidate whose training failed: worse than any constraint."""


class NSGA2:
    """Non-dominated sorting genetic algorithm II, survival over parents and offspring."""

    def vary(
        self, problem: Problem, parents: Sequence[Individual], index: int, known: frozenset[str]
    ) -> list[Offspring]:
        """Tournament, k-point crossover, mutation, repair."""
        return vary(problem, parents, index, known, problem.rng(index, Purpose.VARIATION))

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The best by front, the least crowded of the last front."""
        names = problem.params.objectives.selected
        entries = []
        for one in candidates:
            values = [one.objectives[name] for name in names]
            known = one.ok and all(value is not None for value in values)
            entry = PymooIndividual(
                F=np.array([value if known else FAILED for value in values], dtype=float),
                G=np.array([one.violation if known else FAILED]),
            )
            entry.data["one"] = one
            entries.append(entry)
        survivors = RankAndCrowding().do(
            PymooProblem(n_var=1, n_obj=len(names), n_ieq_constr=1),
            Population.create(*entries),
            n_survive=min(problem.params.evolution.population, len(entries)),
            random_state=problem.rng(index, Purpose.SURVIVAL),
        )
        population = []
        for entry in survivors:
            crowding = entry.get("crowding")
            finite = crowding is not None and math.isfinite(crowding)
            rank = entry.get("rank")
            population.append(
                entry.data["one"].model_copy(
                    update={
                        "rank": int(rank) if rank is not None else len(entries),
                        "crowding": float(crowding) if finite else None,
                    }
                )
            )
        return sorted(
            population,
            key=lambda one: (
                not one.ok,
                one.violation,
                one.rank,
                -(math.inf if one.crowding is None else one.crowding),
                one.id,
            ),
        )


register("nsga2", NSGA2())
