"""Variation on pymoo's operators: tournament, k-point crossover, per-position mutation, repair.

Each individual carries its history (parents, cut points, mutated positions, repairs) through the
operators, so that a generation file tells how every genome was made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

from star_core.evolution.base import Problem, Purpose
from star_core.evolution.class_links import keep_classes
from star_core.evolution.guard_rails import mend
from star_core.evolution.links import keep_links
from star_core.evolution.resizing import resize
from star_core.evolution.survival import standing
from star_core.genome.backbone import Genome
from star_core.genome.layout import Layout
from star_core.population.individual import Individual, Offspring, Origin, individual_id
from star_core.vocabulary.tables import GENES_PER_LIV

Vector = npt.NDArray[np.int64]

PATIENCE = {"guard_rails": 50, "resample": 1000, "reject": 50}
"""Matings of a litter at most; without repair most children of deep genomes are thrown away."""


class BestOfTournament:
    """The best of k by the order of the algorithm; ties at random."""

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
    """Swaps alternate segments of two parents between ``k`` distinct random cut points.

    Cuts between genes, or between LIVs only (``livs``, ``links``); ``links`` also renames sharing groups
    so that LIVs linked in a parent stay linked (see ``links.py``), and keeps the classes that genomes bring
    with the LIVs that use them (see ``class_links.py``).
    """

    def __init__(self, points: int, rate: float, level: str = "genes") -> None:
        super().__init__(n_parents=2, n_offsprings=2)
        self.points, self.rate, self.level = points, rate, level

    def do(self, problem: Any, matings: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        """Two children per mating, each knowing its parents and cut points."""
        children, space = [], problem.experiment.space
        cuts = space.layout.cuts(self.level)
        for first, second in matings:
            a, b = first.X, second.X
            names = tuple(dict.fromkeys((first.data["id"], second.data["id"])))
            points: tuple[int, ...] = ()
            if random_state.random() < self.rate and len(cuts):
                drawn = random_state.permutation(len(cuts))[: self.points]
                points = tuple(sorted(cuts[drawn].tolist()))
            swapped = np.searchsorted(points, np.arange(len(a)), side="right") % 2 == 1
            for x, pair, parents in (
                (np.where(swapped, b, a), (a, b), names if points else names[:1]),
                (np.where(swapped, a, b), (b, a), names if points else names[-1:]),
            ):
                if points and self.level == "links":
                    sources = swapped[: space.layout.backbone : GENES_PER_LIV].tolist()
                    x = keep_links(space, keep_classes(space, x, pair, sources), sources)
                child = PymooIndividual(X=x)
                child.data = {"parents": parents, "points": points, "mutations": (), "repairs": ()}
                children.append(child)
        return Population.create(*children)


class PositionMutation(Mutation):  # type: ignore[misc]
    """Gives each position, with probability ``rate``, another allele valid for it by itself.

    If ``fitting``, one that breaks nothing in the rest of the genome; where there is none, it stays.
    Classes that genomes bring have rates of their own (``SearchSpace.rates``), and where depth varies a LIV
    is inserted or deleted (``resizing.py``).
    """

    def __init__(self, rate: float, fitting: bool = False) -> None:
        super().__init__(prob=1.0)
        self.rate, self.fitting = rate, fitting

    def do(self, problem: Any, population: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        """Mutates in place and records the positions."""
        space = problem.experiment.space
        for child in population:
            x, sites = resize(space, space.layout.closed(child.X), self.rate, random_state)
            mutated = list(sites)
            for position in np.flatnonzero(random_state.random(len(x)) < space.rates(x, self.rate)):
                alleles = space.choices(x, int(position))
                others = [allele for allele in alleles if allele != x[position]]
                if self.fitting:
                    others = _fitting(problem.experiment, x, int(position), others)
                if others:
                    before, allele = x, others[int(random_state.integers(len(others)))]
                    x = space.mutated(x, int(position), allele)
                    mutated += np.flatnonzero(x != before).tolist()
            child.X = x
            child.data["mutations"] = tuple(sorted(set(mutated)))
        return population


def _fitting(problem: Problem, x: Vector, position: int, alleles: Sequence[int]) -> list[int]:
    """Those of ``alleles`` with which the genome breaks no more rules than as it is."""

    def broken(allele: int) -> int:
        changed = problem.space.mutated(x, position, allele)
        return sum(1 for _ in problem.space.problems(problem.space.layout.decode(changed)))

    present = broken(int(x[position]))
    return [allele for allele in alleles if broken(allele) <= present]


class GuardRails(PymooRepair):  # type: ignore[misc]
    """Mends what crossover and mutation left invalid and records it, or drops it (``evolution.repair``).

    A child that is rejected stays in the litter without a digest, because its place is to stay empty.
    """

    def do(self, problem: Any, population: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        """Mends in place."""
        kept = []
        for child in population:
            mended = mend(problem.experiment, child.X, random_state)
            if mended is not None:
                genome, child.data["repairs"] = mended
                child.X = problem.experiment.space.layout.encode(genome)
                child.data["digest"] = problem.experiment.compile(genome).digest
            if mended is not None or problem.experiment.params.evolution.repair == "reject":
                kept.append(child)
        return Population.create(*kept)


class SameArchitecture(ElementwiseDuplicateElimination):  # type: ignore[misc]
    """Drops children that compile to an architecture that is already known."""

    def __init__(self, known: frozenset[str]) -> None:
        super().__init__()
        self.known = known

    def _do(self, pop: Any, other: Any, is_duplicate: Any) -> Any:
        seen = set(self.known) if other is None else {individual.data.get("digest") for individual in other}
        for index, child in enumerate(pop):
            digest = child.data.get("digest")
            if digest is None:
                continue
            if digest in seen:
                is_duplicate[index] = True
            elif other is None:
                seen.add(digest)
        return is_duplicate


class GenomeProblem(PymooProblem):  # type: ignore[misc]
    """pymoo's view of the experiment: integer vectors of fixed length."""

    def __init__(self, experiment: Problem) -> None:
        super().__init__(n_var=experiment.space.layout.size, n_obj=1, vtype=int)
        self.experiment = experiment


def to_pymoo(
    layout: Layout, individuals: Sequence[Individual], order: Mapping[str, tuple[float, ...]]
) -> Any:
    """A pymoo population of evaluated individuals."""
    entries = []
    for individual in individuals:
        entry = PymooIndividual(X=layout.encode(Genome.parse(individual.genome)))
        entry.data = {"id": individual.id, "digest": individual.digest, "order": order[individual.id]}
        entries.append(entry)
    return Population.create(*entries)


def vary(
    problem: Problem,
    parents: Sequence[Individual],
    index: int,
    known: frozenset[str],
    rng: np.random.Generator,
    order: Mapping[str, tuple[float, ...]] | None = None,
) -> list[Offspring]:
    """Offspring by tournament, crossover, mutation and repair, all of different architectures.

    In a space too small to yield enough new architectures the rest is sampled at random, and if
    even that finds none, there are fewer offspring.

    Args:
        problem: The experiment.
        parents: The population.
        index: Index of the generation to make.
        known: Digests that no offspring may have.
        rng: The random numbers of this variation.
        order: Name → what tournaments compare, less is better; by default rank, then crowding.
    """
    section = problem.params.evolution
    if order is None:
        order = {parent.id: standing(parent, len(parents)) for parent in parents}
    mating = Mating(
        selection=TournamentSelection(
            func_comp=BestOfTournament(), pressure=min(section.tournament, len(parents))
        ),
        crossover=KPointCrossover(section.crossover_points, section.crossover_rate, section.crossover),
        mutation=PositionMutation(section.mutation_rate, section.mutation == "fitting"),
        repair=GuardRails(),
        eliminate_duplicates=SameArchitecture(known),
        n_max_iterations=PATIENCE[section.repair],
    )
    children = mating.do(
        GenomeProblem(problem),
        to_pymoo(problem.space.layout, parents, order),
        section.num_offspring,
        random_state=rng,
    )
    litter = []
    for child in children:
        if child.data.get("digest") is None:
            continue
        origin = Origin(
            operator="variation",
            crossover_points=child.data["points"],
            mutations=child.data["mutations"],
            repairs=child.data["repairs"],
        )
        genome = str(problem.space.layout.decode(child.X))
        litter.append((genome, child.data["digest"], child.data["parents"], origin))
    rejected = len(children) - len(litter)
    return complete(problem, litter, index, section.num_offspring - rejected, known, rng)


Newborn = tuple[str, str, tuple[str, ...], Origin]
"""Genome, digest, names of the parents, how it was made."""


def complete(
    problem: Problem,
    litter: Sequence[Newborn],
    index: int,
    size: int,
    known: frozenset[str],
    rng: np.random.Generator,
) -> list[Offspring]:
    """A litter filled up to ``size`` with random genomes of new architectures, as far as some are found."""
    offspring = list(litter)
    digests = known | {digest for _, digest, _, _ in offspring}
    for _ in range(20 * problem.params.evolution.num_offspring):
        if len(offspring) >= size:
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


class Recombination:
    """What algorithms that mate have in common; they differ in survival, and in whom they let mate."""

    def order(
        self, problem: Problem, parents: Sequence[Individual]
    ) -> Mapping[str, tuple[float, ...]] | None:
        """Name → what tournaments compare; by default rank, then crowding."""
        return None

    def vary(
        self, problem: Problem, parents: Sequence[Individual], index: int, known: frozenset[str]
    ) -> list[Offspring]:
        """Tournament, k-point crossover, mutation, repair."""
        rng = problem.rng(index, Purpose.VARIATION)
        return vary(problem, parents, index, known, rng, self.order(problem, parents))
