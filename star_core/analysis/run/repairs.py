"""How often variation breaks genomes: share of invalid children, by kind of position and by rule.

Stored offspring tell what the guard rails repaired. Variation being a pure function of the stored parent, the
children as they were before can be made again, which also counts those that ``evolution.repair`` threw away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from star_core.analysis.run.outcomes import general_rule
from star_core.evolution.base import Problem
from star_core.evolution.step import offspring_of
from star_core.genome.backbone import Genome
from star_core.genome.layout import Layout
from star_core.genome.space import SearchSpace
from star_core.population.generation import Generation
from star_core.population.individual import Individual

T = TypeVar("T", int, str)

Fault = tuple[int, str]
"""Position in the vector, and the rule broken there."""


@dataclass(frozen=True)
class Breakage:
    """What was invalid among children.

    Attributes:
        children: How many there were.
        invalid: How many of them had an invalid position.
        genes: Name of the gene → (invalid positions, children concerned), in the order of the genome.
        rules: Broken rule, in general form → the same, most frequent first.
    """

    children: int
    invalid: int
    genes: Mapping[str, tuple[int, int]]
    rules: Mapping[str, tuple[int, int]]

    @property
    def share(self) -> float | None:
        """Share of children that were invalid; ``None`` without children."""
        return self.invalid / self.children if self.children else None

    @classmethod
    def of(cls, layout: Layout, faults: Sequence[Sequence[Fault]]) -> Breakage:
        """Counts over children, each given by its faults; the layout says what stands at a position."""
        genes = [[layout.gene(position) for position, _ in child] for child in faults]
        rules = [[general_rule(rule) for _, rule in child] for child in faults]
        by_gene, by_rule = _counted(genes), _counted(rules)
        return cls(
            children=len(faults),
            invalid=sum(bool(child) for child in faults),
            genes={gene: by_gene[gene] for gene in _names(layout) if gene in by_gene},
            rules={
                rule: by_rule[rule] for rule in sorted(by_rule, key=lambda rule: (-by_rule[rule][0], rule))
            },
        )


def repaired(space: SearchSpace, individuals: Iterable[Individual]) -> Breakage:
    """What the guard rails repaired, as stored with the individuals that variation made."""
    varied = [individual for individual in individuals if individual.origin.operator == "variation"]
    return Breakage.of(
        space.layout,
        [[(fix.position, fix.rule) for fix in individual.origin.repairs] for individual in varied],
    )


def broken(space: SearchSpace, genomes: Iterable[Genome]) -> Breakage:
    """What is invalid in genomes that nothing has repaired yet."""
    return Breakage.of(
        space.layout,
        [[(fault.position or 0, fault.rule) for fault in space.problems(genome)] for genome in genomes],
    )


def children_of(problem: Problem, parent: Generation) -> list[Genome]:
    """All children variation makes of a stored generation, as they are before ``evolution.repair``.

    More than the offspring: those that repeat an architecture or are thrown away are among them.
    """
    seen: list[Genome] = []
    offspring_of(replace(problem, watch=seen.append), parent)
    return seen


def course(space: SearchSpace, generations: Sequence[Generation]) -> list[Breakage]:
    """What was repaired in each generation after the first."""
    return [repaired(space, generation.born) for generation in generations[1:]]


def _names(layout: Layout) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(layout.gene, range(layout.size))))


def _counted(found: Sequence[Sequence[T]]) -> dict[T, tuple[int, int]]:
    positions = Counter(kind for each in found for kind in each)
    concerned = Counter(kind for each in found for kind in set(each))
    return {kind: (positions[kind], concerned[kind]) for kind in positions}
