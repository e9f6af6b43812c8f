"""Who inherited what from whom, and runs re-enacted by chance with the same descent.

A motif that one lucky founder had can fill a population without being good for anything, because all of it
descends from that founder. So whether a motif rose is judged against the same family tree with other luck
(gene dropping, MacCluer et al. 1986): founders swap places, mutations and repairs set the positions they set
to alleles that others got, and everything is passed on as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from star_core.analysis.motifs.encoding import ABSENT, Genes
from star_core.population.individual import Individual
from star_core.vocabulary.tables import GENES_PER_LIV

Odds = npt.NDArray[np.float64]
NEW = -1
"""Source of an allele that no parent had: mutated or repaired."""


@dataclass(frozen=True)
class Birth:
    """How one individual came by its genes.

    Attributes:
        row: Row of the individual in the encoded genomes.
        parents: Rows of its parents.
        source: (LIVs, 5) which of the parents each gene came from, or ``NEW``.
        places: (LIVs,) per parent, at which depth of the parent.
        classes: LIVs whose class is new, in groups that one mutation changed.
        odds: (parents, LIVs, 5) where alleles are copied one by one, the probability that one which several
            parents have came from each of them, 0 elsewhere; ``None`` where segments are copied.
    """

    row: int
    parents: tuple[int, ...]
    source: npt.NDArray[np.int64]
    places: tuple[npt.NDArray[np.int64], ...]
    classes: tuple[tuple[int, ...], ...]
    odds: Odds | None

    @property
    def news(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """What did not come from a parent: gene, and the LIVs in which one event set it."""
        for group in self.classes:
            yield 0, group
        for gene in range(1, GENES_PER_LIV):
            for place in np.flatnonzero(self.source[:, gene] == NEW).tolist():
                yield gene, (place,)


@dataclass(frozen=True)
class Inheritance:
    """A run's descent.

    Attributes:
        genes: Everyone's genomes, in order of birth.
        roots: Rows of those without known parents: founders, and who was sampled later.
        births: Births of everyone else.
        alleles: Gene → what mutation and repair made of it anywhere in the run, before any selection.
    """

    genes: Genes
    roots: npt.NDArray[np.int64]
    births: tuple[Birth, ...]
    alleles: tuple[npt.NDArray[np.int16], ...]

    @classmethod
    def of(cls, everyone: Sequence[Individual], genes: Genes, scattered: bool = False) -> Inheritance:
        """The descent of individuals in order of birth, with their encoded genomes.

        ``scattered``: offspring take alleles from their parents one by one, and not segments between cuts.
        """
        rows = {individual.id: row for row, individual in enumerate(everyone)}
        roots, births = [], []
        for row, individual in enumerate(everyone):
            if individual.parents and all(rows.get(name, row) < row for name in individual.parents):
                births.append(_birth(individual, row, rows, genes, scattered))
            else:
                roots.append(row)
        alleles: list[list[int]] = [[] for _ in range(GENES_PER_LIV)]
        for birth in births:
            for gene, group in birth.news:
                alleles[gene].append(int(genes[birth.row, group[0], gene]))
        pools = tuple(np.array(each, dtype=np.int16) for each in alleles)
        return cls(genes, np.array(roots), tuple(births), pools)

    def replayed(self, rows: Sequence[int], times: int, rng: np.random.Generator) -> Genes:
        """The genomes of ``rows`` in runs of this descent with other luck: (times, rows, LIVs, 5)."""
        needed = set(rows)
        for birth in reversed(self.births):
            if birth.row in needed:
                needed.update(birth.parents)
        order = rng.permuted(np.tile(self.roots, (times, 1)), axis=1)
        drawn: dict[int, Genes] = {
            int(root): self.genes[order[:, at]] for at, root in enumerate(self.roots) if root in needed
        }
        for birth in self.births:
            if birth.row in needed:
                drawn[birth.row] = self._born(birth, drawn, times, rng)
        return np.stack([drawn[row] for row in rows], axis=1)

    def _born(self, birth: Birth, drawn: Mapping[int, Genes], times: int, rng: np.random.Generator) -> Genes:
        child = np.ones((times, *birth.source.shape), dtype=np.int16)
        child[:, :, 0] = ABSENT
        for number, (parent, places) in enumerate(zip(birth.parents, birth.places, strict=True)):
            at, genes = np.nonzero(birth.source == number)
            child[:, at, genes] = drawn[parent][:, places[at], genes]
        if birth.odds is not None:
            luck, ends = rng.random(child.shape), np.cumsum(birth.odds, axis=0)
            for number, (parent, places) in enumerate(zip(birth.parents, birth.places, strict=True)):
                taken = (luck < ends[number]) & (luck >= ends[number] - birth.odds[number])
                child = np.where(taken, drawn[parent][:, places], child)
        for gene, group in birth.news:
            alleles = self.alleles[gene]
            child[:, group, gene] = alleles[rng.integers(len(alleles), size=times)][:, None]
        return child


def _birth(individual: Individual, row: int, rows: Mapping[str, int], genes: Genes, scattered: bool) -> Birth:
    """Finds where each gene came from: of the parents that have its allele, by segments between cuts.

    Mutated and repaired positions are new even where the allele is a parent's.
    """
    parents = tuple(rows[name] for name in individual.parents)
    child, depth = genes[row], int((genes[row, :, 0] != ABSENT).sum())
    places = tuple(_places(genes[parent], child) for parent in parents)
    agree = np.array(
        [(genes[p][at] == child) & (at != ABSENT)[:, None] for p, at in zip(parents, places, strict=True)]
    ).reshape(len(parents), -1)
    end = depth * GENES_PER_LIV
    shifted = any((genes[p, :, 0] != ABSENT).sum() != depth for p in parents)
    changed = {*individual.origin.mutations, *(repair.position for repair in individual.origin.repairs)}
    recorded = sorted(position for position in changed if position < end)
    if not shifted:
        agree[:, recorded] = False
    source = np.full(agree.shape[1], NEW)
    before = NEW
    cuts = [0, *(point for point in individual.origin.crossover_points if point < end), end]
    for start, stop in pairwise(cuts):
        matches = agree[:, start:stop].sum(axis=1)
        best = np.flatnonzero(matches == matches.max())
        chosen = int(best[0] if best[0] != before or len(best) == 1 else best[1])
        for parent in (chosen, *range(len(parents))):
            free = (source[start:stop] == NEW) & agree[parent, start:stop]
            source[start:stop][free] = parent
        before = chosen
    # Places beyond the child's depth are nobody's, and stay absent.
    source[end:] = len(parents)
    odds = _odds(agree).reshape(len(parents), *child.shape) if scattered and len(parents) > 1 else None
    return Birth(row, parents, source.reshape(child.shape), places, _together(child, source, recorded), odds)


def _odds(agree: npt.NDArray[np.bool_]) -> Odds:
    """(parents, genes): for alleles that several parents have, how likely each is to be the source.

    As likely as it is the source where only one has the allele. Were it always the same one, a child would be
    a finer patchwork in re-enactments, where parents differ more, than algorithms make of such parents.
    """
    several = agree.sum(axis=0) > 1
    shares = (agree & ~several).sum(axis=1) + 0.5
    odds = np.where(agree & several, shares[:, None], 0.0)
    return np.asarray(odds / np.maximum(odds.sum(axis=0), 1e-9))


def _together(
    child: npt.NDArray[np.int16], source: npt.NDArray[np.int64], recorded: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """LIVs whose class is new, in groups that got it from one mutation.

    A mutated class gene is a group of its own. A class that no recorded mutation of the backbone explains
    comes from the genome's own class table, which changes every LIV of that class at once.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    for at in np.flatnonzero(source.reshape(child.shape)[:, 0] == NEW).tolist():
        alone = at * GENES_PER_LIV in recorded
        groups.setdefault(("place", at) if alone else ("class", int(child[at, 0])), []).append(at)
    return tuple(map(tuple, groups.values()))


def _places(parent: npt.NDArray[np.int16], child: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """At which depth of the parent each LIV of the child is to be looked for; ``ABSENT``: nowhere.

    The same, unless the depths differ: then LIVs were inserted or deleted, and the rest is aligned.
    """
    ours, theirs = ([tuple(liv) for liv in each.tolist() if liv[0] != ABSENT] for each in (child, parent))
    places = np.arange(len(child))
    if len(ours) == len(theirs):
        return places
    places[:] = ABSENT
    for _, start, end, first, last in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes():
        both = min(end - start, last - first)
        places[first : first + both] = np.arange(start, start + both)
    return places
