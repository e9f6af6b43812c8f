"""The firefly algorithm on genomes, the third of the paper's comparison (arXiv 2411.17800, §4).

Fireflies move towards brighter ones, the less the further away they are, and a little at random
(Yang 2008, Nature-Inspired Metaheuristic Algorithms; Yang 2009, LNCS 5792). The paper does not say how it
made that discrete; here a move copies alleles, and distance is the share of positions that differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pymoo.core.individual import Individual as PymooIndividual
from pymoo.core.population import Population

from star_core.evolution.base import Problem, Purpose, register
from star_core.evolution.fitness import fitness, fittest_first
from star_core.evolution.guard_rails import mend
from star_core.evolution.operators import PATIENCE, GenomeProblem, Newborn, PositionMutation, complete
from star_core.evolution.survival import survive_in_order
from star_core.genome.backbone import Genome
from star_core.genome.layout import Layout
from star_core.population.individual import Individual, Offspring, Origin

Vector = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Firefly:
    """One firefly per place of the population; brightness is the plain genetic algorithm's fitness.

    A firefly takes its move only if that makes it no dimmer, so the brightest is never lost.

    Attributes:
        attractiveness: Probability β of copying an allele that differs, at no distance.
        absorption: γ of β·exp(-γh²), h the share of positions that differ.
    """

    attractiveness: float = 0.5
    absorption: float = 1.0

    def vary(
        self, problem: Problem, parents: Sequence[Individual], index: int, known: frozenset[str]
    ) -> list[Offspring]:
        """Moves of fireflies in turn, each to a new architecture."""
        rng = problem.rng(index, Purpose.VARIATION)
        section, digests = problem.params.evolution, set(known)
        brightest, bright = fittest_first(problem, parents), fitness(problem, parents)
        genomes = {parent.id: problem.space.layout.encode(Genome.parse(parent.genome)) for parent in parents}
        litter: list[Newborn] = []
        size = section.num_offspring
        for slot in range(section.num_offspring):
            # With fewer offspring than fireflies, each moves in every so many generations.
            own = parents[(index * section.num_offspring + slot) % len(parents)]
            guides = [firefly.id for firefly in reversed(brightest) if bright[firefly.id] < bright[own.id]]
            for _ in range(PATIENCE[section.repair]):
                moved, points, followed = self._moved(problem.space.layout, genomes, own.id, guides, rng)
                moved, mutations = _random_walk(problem, moved, rng)
                mended = mend(problem, moved, rng)
                if mended is None and section.repair == "reject":
                    size -= 1
                    break
                if mended is None or (digest := problem.compile(mended[0]).digest) in digests:
                    continue
                digests.add(digest)
                origin = Origin(
                    operator="variation", crossover_points=points, mutations=mutations, repairs=mended[1]
                )
                litter.append((str(mended[0]), digest, (own.id, *followed), origin))
                break
        return complete(problem, litter, index, size, known, rng)

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """Of each firefly the brighter of before and after its move; the rest only to fill the population."""
        bright = fitness(problem, candidates)
        before = {candidate.id for candidate in candidates if candidate.born != index}
        places: dict[str, Individual] = {}
        for candidate in sorted(
            candidates, key=lambda candidate: (bright[candidate.id], candidate.born != index, candidate.id)
        ):
            moved = candidate.born == index and candidate.parents and candidate.parents[0] in before
            places.setdefault(candidate.parents[0] if moved else candidate.id, candidate)
        kept = {candidate.id for candidate in places.values()}
        order = fittest_first(problem, candidates)
        return survive_in_order(problem, sorted(order, key=lambda candidate: candidate.id not in kept))

    def _moved(
        self,
        layout: Layout,
        genomes: dict[str, Vector],
        own: str,
        guides: Sequence[str],
        rng: np.random.Generator,
    ) -> tuple[Vector, tuple[int, ...], tuple[str, ...]]:
        """A firefly drawn by all brighter ones, the brightest last.

        Returns:
            Its genome, the positions at which the source of alleles changes, and whom it copied from.
        """
        x = genomes[own].copy()
        sources = np.zeros(len(x), dtype=np.int64)
        for number, guide in enumerate(guides, 1):
            differs = x != genomes[guide]
            pull = self.attractiveness * math.exp(-self.absorption * float(differs.mean()) ** 2)
            copied = differs & layout.together(rng.random(len(x)) < pull)
            x[copied], sources[copied] = genomes[guide][copied], number
        points = tuple(at for at, (a, b) in enumerate(pairwise(sources.tolist()), 1) if a != b)
        return x, points, tuple(guides[number - 1] for number in sorted(set(sources.tolist()) - {0}))


def _random_walk(problem: Problem, x: Vector, rng: np.random.Generator) -> tuple[Vector, tuple[int, ...]]:
    child = PymooIndividual(X=x)
    child.data = {}
    section = problem.params.evolution
    mutation = PositionMutation(section.mutation_rate, section.mutation == "fitting")
    mutation.do(GenomeProblem(problem), Population.create(child), random_state=rng)
    return child.X, child.data["mutations"]


register("firefly", Firefly())
