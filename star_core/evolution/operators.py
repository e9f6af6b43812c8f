"""Variation on pymoo's operators: tournament, k-point crossover, per-position mutation, repair.

Each individual carries its history (parents, cut points, mutated positions, repairs) through the
operators, so that a generation file tells how every genome was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import ElementwiseDuplicateElimination
from pymoo.core.individual import Individual as PymooIndividual
from pymoo.core.mating import Mating
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.repair import Repair as PymooRepair
from pymoo.operators.selection.tournament import TournamentSelection

from star_core.evolution.base import Problem
from star_core.genome.backbone import Genome
from star_core.genome.tables import GENES_PER_LIV
from star_core.population.individual import (
    Individual,
    Offspring,
    Origin,
    Repair,
    individual_id,
)

Vector = npt.NDArray[np.int64]


class BestOfTournament:
    """The best of k: least violation, then rank, then crowding; ties at random."""

    def __call__(
        self, population: Any, tournaments: npt.NDArray[np.int64], random_state: Any = None, **_: Any
    ) -> npt.NDArray[np.int64]:
        """Winners (n, 1) of ``tournaments`` (n, k), both indices into the population."""
        winners = []
        for row in tournaments:
            ties = random_state.permutation(len(row))
            best = min(
                zip(row, ties, strict=True), key=lambda pair: (*population[pair[0]].data["order"], pair[1])
            )
            winners.append(best[0])
        return np.array(winners, dtype=np.int64)[:, None]


class KPointCrossover(Crossover):  # type: ignore[misc]
    """Swaps alternate segments of two parents between ``k`` distinct random cut points."""

    def __init__(self, points: int, rate: float) -> None:
        super().__init__(n_parents=2, n_offsprings=2)
        self.points, self.rate = points, rate

    def do(self, problem: Any, matings: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        """Two children per mating, each knowing its parents and cut points."""
        children = []
        for first, second in matings:
            a, b = first.X, second.X
            names = tuple(dict.fromkeys((first.data["id"], second.data["id"])))
            points: tuple[int, ...] = ()
            if random_state.random() < self.rate and len(a) > 1:
                count = min(self.points, len(a) - 1)
                points = tuple(sorted(int(p) + 1 for p in random_state.permutation(len(a) - 1)[:count]))
            swapped = np.searchsorted(points, np.arange(len(a)), side="right") % 2 == 1
            for x, parents in (
                (np.where(swapped, b, a), names if points else names[:1]),
                (np.where(swapped, a, b), names if points else names[-1:]),
            ):
                child = PymooIndividual(X=x)
                child.data = {"parents": parents, "points": points, "mutations": (), "repairs": ()}
                children.append(child)
        return Population.create(*children)


class PositionMutation(Mutation):  # type: ignore[misc]
    """Gives each position, with probability ``rate``, another allele valid for it by itself."""

    def __init__(self, rate: float) -> None:
        super().__init__(prob=1.0)
        self.rate = rate

    def do(self, problem: Any, population: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        """Mutates in place and records the positions."""
        for child in population:
            x: Vector = child.X.copy()
            mutated = []
            for position in np.flatnonzero(random_state.random(len(x)) < self.rate):
                liv, gene = divmod(int(position), GENES_PER_LIV)
                alleles = problem.experiment.space.alleles(int(x[liv * GENES_PER_LIV]), gene)
                others = [allele for allele in alleles if allele != x[position]]
                if others:
                    x[position] = others[int(random_state.integers(len(others)))]
                    mutated.append(int(position))
            child.X = x
            child.data["mutations"] = tuple(mutated)
        return population


class GuardRails(PymooRepair):  # type: ignore[misc]
    """Re-samples the positions that crossover and mutation left invalid, and records them."""

    def do(self, problem: Any, population: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        """Repairs in place."""
        for child in population:
            genome, changes = problem.experiment.space.repair(Genome.from_vector(child.X), random_state)
            child.X = genome.to_vector()
            child.data["repairs"] = tuple(
                Repair(position=c.position, old=c.old, new=c.new, rule=c.rule) for c in changes
            )
            child.data["digest"] = problem.experiment.compile(genome).digest
        return population


class SameArchitecture(ElementwiseDuplicateElimination):  # type: ignore[misc]
    """Drops children that compile to an architecture that is already known."""

    def __init__(self, known: frozenset[str]) -> None:
        super().__init__()
        self.known = known

    def _do(self, pop: Any, other: Any, is_duplicate: Any) -> Any:
        seen = set(self.known) if other is None else {one.data["digest"] for one in other}
        for index, child in enumerate(pop):
            if child.data["digest"] in seen:
                is_duplicate[index] = True
            elif other is None:
                seen.add(child.data["digest"])
        return is_duplicate


class GenomeProblem(PymooProblem):  # type: ignore[misc]
    """pymoo's view of the experiment: integer vectors of fixed length."""

    def __init__(self, experiment: Problem) -> None:
        super().__init__(n_var=GENES_PER_LIV * experiment.space.depth, n_obj=1, vtype=int)
        self.experiment = experiment


def to_pymoo(individuals: Sequence[Individual]) -> Any:
    """A pymoo population of evaluated individuals."""
    entries = []
    for one in individuals:
        entry = PymooIndividual(X=Genome.parse(one.genome).to_vector())
        crowding = float("inf") if one.crowding is None else one.crowding
        rank = one.rank if one.rank is not None else len(individuals)
        entry.data = {
            "id": one.id,
            "digest": one.digest,
            "order": (not one.ok, one.violation, rank, -crowding),
        }
        entries.append(entry)
    return Population.create(*entries)


def vary(
    problem: Problem,
    parents: Sequence[Individual],
    index: int,
    known: frozenset[str],
    rng: np.random.Generator,
) -> list[Offspring]:
    """Offspring by tournament, crossover, mutation and repair, all of different architectures.

    In a space too small to yield enough new architectures the rest is sampled at random, and if
    even that finds none, there are fewer offspring.
    """
    section = problem.params.evolution
    mating = Mating(
        selection=TournamentSelection(
            func_comp=BestOfTournament(), pressure=min(section.tournament, len(parents))
        ),
        crossover=KPointCrossover(section.crossover_points, section.crossover_rate),
        mutation=PositionMutation(section.mutation_rate),
        repair=GuardRails(),
        eliminate_duplicates=SameArchitecture(known),
        n_max_iterations=50,
    )
    children = mating.do(GenomeProblem(problem), to_pymoo(parents), section.num_offspring, random_state=rng)
    offspring = []
    for child in children:
        origin = Origin(
            operator="variation",
            crossover_points=child.data["points"],
            mutations=child.data["mutations"],
            repairs=child.data["repairs"],
        )
        genome = str(Genome.from_vector(child.X))
        offspring.append((genome, child.data["digest"], child.data["parents"], origin))
    digests = known | {digest for _, digest, _, _ in offspring}
    for _ in range(20 * section.num_offspring):
        if len(offspring) >= section.num_offspring:
            break
        sampled = problem.space.sample(rng)
        digest = problem.compile(sampled).digest
        if digest not in digests:
            digests |= {digest}
            offspring.append((str(sampled), digest, (), Origin(operator="random")))
    return [
        Offspring(id=individual_id(index, slot), genome=genome, digest=digest, parents=ids, origin=origin)
        for slot, (genome, digest, ids, origin) in enumerate(offspring)
    ]
