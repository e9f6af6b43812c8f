"""Which motifs rose and which fell since the founders, and whether chance and descent alone would do that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from star_core.analysis.motifs.encoding import Encoding
from star_core.analysis.motifs.inheritance import Inheritance
from star_core.analysis.motifs.occurrences import OF_LIVS, Codebook, Motif, motifs_of
from star_core.analysis.motifs.significance import false_discoveries
from star_core.analysis.run.results import Results

SEED = 11
"""Seed of the re-enactments, so that a report made again says the same."""
FREQUENT = 0.25
"""Share of the founders or of the last population that holds a motif worth showing."""
FEWEST = 3
SIGNIFICANT = 0.05
SCATTERED = frozenset({"firefly"})
"""Algorithms whose offspring take single alleles from their parents, not segments."""


@dataclass(frozen=True, slots=True)
class Presence:
    """How much of a motif there is in a group of genomes.

    Attributes:
        holders: Individuals that have it.
        members: Individuals there are.
        rate: How often it occurs in one of them on average; for classes and families, the share of all LIVs.
    """

    holders: int
    members: int
    rate: float

    @property
    def share(self) -> float:
        """Share of individuals that have it; 0 of nobody."""
        return self.holders / self.members if self.members else 0.0


@dataclass(frozen=True, slots=True)
class Trend:
    """One motif over a run.

    Attributes:
        motif: The motif.
        founders, last, front: Among those evaluated first, in the last population, and on its front.
        course: The same in the population of each generation.
        q: False discovery rate (``significance``).
    """

    motif: Motif
    founders: Presence
    last: Presence
    front: Presence
    course: tuple[Presence, ...]
    q: float

    @property
    def ratio(self) -> float | None:
        """Rate at the end over rate among founders; ``None`` if none of them has it."""
        return self.last.rate / self.founders.rate if self.founders.rate else None

    @property
    def change(self) -> float:
        """Rate at the end less rate among founders."""
        return self.last.rate - self.founders.rate

    @property
    def significant(self) -> bool:
        """Whether at most 5 % of those that changed as surely did so by chance."""
        return self.q <= SIGNIFICANT


def trends(results: Results) -> list[Trend]:
    """All motifs frequent among founders or at the end, the most surely changed first.

    There are none before a generation after the founders. A sequence is left out where a longer one that
    holds it is held by just as many.
    """
    if len(results.generations) < 2:
        return []
    everyone = list(results.individuals.values())
    rows = {individual.id: row for row, individual in enumerate(everyone)}
    architectures = [results.candidates[individual.id].architecture for individual in everyone]
    encoding = Encoding.of(architectures)
    genes = encoding.encode(architectures)
    groups = [
        [rows[individual.id] for individual in results.generations[0].born],
        [rows[individual.id] for individual in results.last.population],
        [rows[candidate.name] for candidate in results.front],
        *(
            [rows[individual.id] for individual in generation.population]
            for generation in results.generations
        ),
    ]
    held = motifs_of(encoding, genes)
    pools = [[held[row] for row in group] for group in groups]
    shown = sorted({motif for pool in pools[:2] for motif in _frequent(pool)})
    q = false_discoveries(
        shown,
        Codebook(encoding),
        Inheritance.of(everyone, genes, results.params.evolution.algorithm in SCATTERED),
        groups[0],
        groups[1],
        np.random.default_rng(SEED),
    )
    found = []
    for motif, rate in zip(shown, q, strict=True):
        first, last, front, *course = (_presence(motif, pool) for pool in pools)
        found.append(Trend(motif, first, last, front, tuple(course), rate))
    return sorted(_longest(found), key=lambda trend: (trend.q, -abs(trend.change), trend.motif))


def _frequent(pool: Sequence[Counter[Motif]]) -> Iterable[Motif]:
    """All classes and families, and whatever else many members of a population have."""
    holders = Counter(motif for held in pool for motif in held)
    for motif, count in holders.items():
        if motif.kind in OF_LIVS or count >= max(FEWEST, FREQUENT * len(pool)):
            yield motif


def _presence(motif: Motif, pool: Sequence[Counter[Motif]]) -> Presence:
    """What there is of a motif in a population."""
    total, whole = sum(held[motif] for held in pool), len(pool)
    if motif.kind in OF_LIVS:
        whole = sum(count for held in pool for other, count in held.items() if other.kind == "class")
    return Presence(sum(motif in held for held in pool), len(pool), total / max(whole, 1))


def _longest(found: Sequence[Trend]) -> Iterable[Trend]:
    """Without sequences that a longer one explains."""
    for trend in found:
        same = (other for other in found if (other.founders, other.last) == (trend.founders, trend.last))
        if not any(other.motif.holds(trend.motif) for other in same):
            yield trend
