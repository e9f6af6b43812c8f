"""What survival means whatever the algorithm: failures, constraints, ranks, the order that is stored.

A candidate whose training failed counts as infeasible and as worse than any violated constraint; it
survives only where there are too few others. One that was not trained, since it is over a limit, is as
infeasible as if it had been.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pymoo.core.individual import Individual as PymooIndividual
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.survival import Survival
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from star_core.evolution.base import Problem, Purpose
from star_core.evolution.noise import equalised
from star_core.population.individual import Individual

Column = npt.NDArray[np.float64]

FAILED = 1e30
"""Violation of a candidate whose training failed: worse than any constraint."""
FARTHEST = 1e150
"""Objectives beyond it, of either sign, keep nothing but their order: differences and squares stay finite."""


def violation(problem: Problem, individual: Individual) -> float:
    """By how much a candidate is infeasible; 0: it is feasible, ``FAILED``: an objective is unknown."""
    if individual.status == "infeasible" or _is_known(problem, individual):
        return individual.violation
    return FAILED


def _is_known(problem: Problem, individual: Individual) -> bool:
    names = problem.params.objectives.selected
    return individual.ok and all(individual.objectives[name] is not None for name in names)


def objectives(problem: Problem, candidates: Sequence[Individual]) -> npt.NDArray[np.float64]:
    """Objective values (candidates × objectives), equal where they differ by less than their noise.

    Those of a candidate that was not trained, or failed, are ``FAILED``.
    """
    names = problem.params.objectives.selected
    rows, noise = [], []
    for candidate in candidates:
        known = _is_known(problem, candidate)
        rows.append([candidate.objectives[name] if known else FAILED for name in names])
        noise.append([(candidate.noise or {}).get(name, 0.0) if known else 0.0 for name in names])
    shape = len(rows), len(names)
    values = np.array(rows, dtype=float).reshape(shape)
    if (abs(values) > FARTHEST).any():
        columns = [_in_order(column, lambda x: np.clip(x, -FARTHEST, FARTHEST)) for column in values.T]
        values = np.column_stack(columns)
    return equalised(values, np.array(noise, dtype=float).reshape(shape))


def survive_by_crowding(problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
    """NSGA-II's survival: by front, the least crowded of the last front; best first."""
    survivors = _surviving(problem, candidates, objectives(problem, candidates), index, RankAndCrowding())
    return _described(survivors, len(candidates))


def survive_by(
    problem: Problem, candidates: Sequence[Individual], index: int, operator: Survival
) -> list[Individual]:
    """Survival by an operator of pymoo's that sees objectives from 0 to 1 over the feasible; best first.

    Operators measure angles, distances and volumes, and some have absolute thresholds: bytes of cache
    must not outweigh perplexities.
    """
    candidates = sorted(candidates, key=lambda candidate: candidate.id)
    values, feasible = (
        objectives(problem, candidates),
        np.array([not violation(problem, candidate) for candidate in candidates]),
    )
    if feasible.any():
        known, values = values[feasible], np.full_like(values, FAILED)
        values[feasible] = np.column_stack([_in_order(column, _from_0_to_1) for column in known.T])
    survivors = _surviving(problem, candidates, values, index, operator)
    return ranked(problem, [entry.data["individual"] for entry in survivors])


def _from_0_to_1(values: Column) -> Column:
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low if high > low else 1))


def _in_order(values: Column, rescaled: Callable[[Column], Column]) -> Column:
    """The values rescaled; what was different stays different, by the least that normal numbers can be."""
    distinct, places = np.unique(values, return_inverse=True)
    made = rescaled(distinct)
    for place in range(1, len(made)):
        before = made[place - 1]
        made[place] = max(made[place], np.nextafter(before, np.inf), before + np.finfo(float).tiny)
    return np.asarray(made[places])


def survive_in_order(problem: Problem, preferred: Iterable[Individual]) -> list[Individual]:
    """The first of ``preferred`` that fill the population, feasible ones before others; best first."""
    order = sorted(preferred, key=lambda individual: violation(problem, individual))
    return ranked(problem, order[: problem.params.evolution.population])


def ranked(problem: Problem, population: Sequence[Individual]) -> list[Individual]:
    """The same individuals with the rank and crowding distance they have among themselves; best first."""
    population = sorted(population, key=lambda individual: individual.id)
    entries = _entries(problem, population, objectives(problem, population))
    fronts = RankAndCrowding().do(_view(problem), entries, random_state=np.random.default_rng(0))
    return _described(fronts, len(population))


def _surviving(
    problem: Problem,
    candidates: Sequence[Individual],
    values: npt.NDArray[np.float64],
    index: int,
    operator: Survival,
) -> Population:
    return operator.do(
        _view(problem),
        _entries(problem, candidates, values),
        n_survive=min(problem.params.evolution.population, len(candidates)),
        random_state=problem.rng(index, Purpose.SURVIVAL),
    )


def _view(problem: Problem) -> PymooProblem:
    return PymooProblem(n_var=1, n_obj=len(problem.params.objectives.selected), n_ieq_constr=1)


def _entries(
    problem: Problem, candidates: Sequence[Individual], values: npt.NDArray[np.float64]
) -> Population:
    entries = []
    for candidate, row in zip(candidates, values, strict=True):
        entry = PymooIndividual(F=row, G=np.array([violation(problem, candidate)]))
        entry.data["individual"] = candidate
        entries.append(entry)
    return Population.create(*entries)


def _described(entries: Population, last: int) -> list[Individual]:
    """Individuals with the rank of their entries (``last`` if infeasible) and crowding, best first."""
    population = []
    for entry in entries:
        crowding = entry.get("crowding")
        finite = crowding is not None and math.isfinite(crowding)
        rank = entry.get("rank")
        population.append(
            entry.data["individual"].model_copy(
                update={
                    "rank": int(rank) if rank is not None else last,
                    "crowding": float(crowding) if finite else None,
                }
            )
        )
    return sorted(population, key=lambda individual: (*standing(individual, last), individual.id))


def standing(individual: Individual, last: int) -> tuple[bool, float, int, float]:
    """Less is better: nothing failed, feasible, an early front, far from its neighbours.

    Args:
        individual: A member of a population.
        last: Rank of one that has none.
    """
    rank = last if individual.rank is None else individual.rank
    return (
        not individual.has_standing,
        individual.violation,
        rank,
        -(math.inf if individual.crowding is None else individual.crowding),
    )
