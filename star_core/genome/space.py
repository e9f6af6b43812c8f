"""Search spaces: which classes and sharing indices a genome may use, and what is valid together.

In the preset ``full`` a genome brings its own classes, which evolve like the rest (``lower_levels.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from star_core.errors import ConfigError, GenomeError, nearest
from star_core.genome.admitted import gene_alleles, mutable_genes, settled
from star_core.genome.backbone import LIV, Genome
from star_core.genome.class_names import with_variants
from star_core.genome.drawing import Drawing
from star_core.genome.founding import adopted, sampled_table
from star_core.genome.layout import NO_LIV, Layout, Vector
from star_core.genome.lower_levels import faults
from star_core.genome.operator import LIVClass, class_table
from star_core.genome.tables import (
    GENES_PER_LIV,
    MAX_DEPTH,
    MAX_GROUPS,
    MAX_OWN_CLASSES,
    OPERATORS,
    PAPER_CLASSES,
    write_allele,
)
from star_core.structures.base import structure_of

PRESETS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "paper": ("all 17 LIV classes of the paper", PAPER_CLASSES),
    "extended": (
        "those and linear, banded and pointwise attention, grouped convolution and gated unit",
        tuple(OPERATORS),
    ),
    "lfm2": ("short gated convolution, grouped-query attention, gated unit (arXiv 2511.23404)", (3, 7, 9)),
    "attention": ("attention in all variants and gated units", (1, 2, 3, 4, 9, 10, 11, 12, 13)),
    "full": ("all three levels evolve: a genome brings its own classes", tuple(OPERATORS)),
}

CLASS_TABLE = "extended"
"""The preset whose classes all others choose from."""

OWN_CLASSES = "full"
"""The preset whose genomes bring their own classes."""


@dataclass(frozen=True)
class SearchSpace:
    """What genomes may say.

    Attributes:
        name: Preset name.
        classes: Class index → LIV class; what the classes of a genome mean that brings none of its own.
        depth: LIVs of a sampled genome; the most it may have if ``min_depth`` is given.
        groups: Sharing indices run from 1 to this.
        min_depth: LIVs a genome has at least; ``None``: all have ``depth``.
        own_classes: Classes that a genome brings (preset ``full``); 0: it uses ``classes``.
        novelty: Share of a sampled genome's own classes that are drawn from all valid ones.
        class_mutation: Mutations expected in one of its own classes for each in a gene of the backbone.
    """

    name: str
    classes: Mapping[int, LIVClass] = field(repr=False)
    depth: int = 8
    groups: int = 4
    min_depth: int | None = None
    own_classes: int = 0
    novelty: float = 0.0
    class_mutation: float = 1.0

    @classmethod
    def preset(
        cls,
        name: str = "paper",
        depth: int = 8,
        groups: int = 4,
        *,
        min_depth: int | None = None,
        classes: int = 8,
        novelty: float = 0.25,
        class_mutation: float = 1.0,
    ) -> SearchSpace:
        """A named search space; ``classes``, ``novelty`` and ``class_mutation`` are of ``full`` only.

        Raises:
            ConfigError: No such preset, or depth, groups or classes out of range.
        """
        if name not in PRESETS:
            raise ConfigError(
                "no such search space", value=name, place="space.preset", fix=nearest(name, PRESETS)
            )
        for key, value, high in (
            ("depth", depth, MAX_DEPTH),
            ("groups", groups, MAX_GROUPS),
            ("classes", classes, MAX_OWN_CLASSES),
            ("min_depth", depth if min_depth is None else min_depth, depth),
        ):
            if not 1 <= value <= high:
                raise ConfigError(
                    f"{key} is an integer from 1 to {high}",
                    value=value,
                    place=f"space.{key}",
                    fix=f"use {min(max(value, 1), high)}",
                )
        table = class_table()
        own = (classes, novelty, class_mutation) if name == OWN_CLASSES else ()
        return cls(name, {index: table[index] for index in PRESETS[name][1]}, depth, groups, min_depth, *own)

    @cached_property
    def layout(self) -> Layout:
        """What stands where in the vectors of this space."""
        return Layout(self.depth, self.own_classes, self.min_depth is not None)

    @property
    def depths(self) -> range:
        """Numbers of LIVs a genome may have."""
        return range(self.depth if self.min_depth is None else self.min_depth, self.depth + 1)

    def reading(self, genome: Genome) -> SearchSpace:
        """The space in which the classes of this genome mean those it brings, if it brings any."""
        return self.with_table(genome.table)

    def with_table(self, table: tuple[LIVClass, ...]) -> SearchSpace:
        """The space with these classes and their differential variants; itself without any."""
        return replace(self, classes=with_variants(table), own_classes=0) if table else self

    def adopt(self, genome: Genome) -> Genome:
        """The genome as this space writes it: where it wants own classes, one without gets the named ones.

        Raises:
            GenomeError: It uses more classes than a genome of this space brings.
        """
        return adopted(genome, self.own_classes) if self.own_classes else genome

    def alleles(self, liv_class: int, gene: int) -> tuple[int, ...]:
        """Alleles that gene ``gene`` (0 to 4) of a LIV of class ``liv_class`` may take by itself."""
        if gene == 0:
            return tuple(self.classes)
        if gene in (1, 3):
            return tuple(range(1, self.groups + 1))
        if gene == 2:
            return (1, 2)
        return tuple(structure_of(self.classes[liv_class].operator.token_mixing).strategies)

    def choices(self, vector: Vector, position: int) -> tuple[int, ...]:
        """Alleles that a position may take by itself; empty where nothing stands that has a meaning."""
        liv, gene = divmod(position, GENES_PER_LIV)
        if self.own_classes and position >= self.layout.backbone:
            number, offset = self.layout.own_class(position)
            return gene_alleles(self.layout.class_alleles(vector, number), offset)
        liv_class = int(vector[liv * GENES_PER_LIV])
        if liv_class == NO_LIV:
            return ()
        if self.own_classes and gene in (0, 4):
            return self.reading(self.layout.decode(vector)).alleles(liv_class, gene)
        return self.alleles(liv_class, gene)

    def mutated(self, vector: Vector, position: int, allele: int) -> Vector:
        """The vector with another allele at a position, and with what that decides in an own class."""
        vector = vector.copy()
        vector[position] = allele
        if self.own_classes and position >= self.layout.backbone:
            number, _ = self.layout.own_class(position)
            self.layout.put_class(vector, number, settled(self.layout.class_alleles(vector, number)))
        return vector

    def rates(self, vector: Vector, rate: float) -> float | npt.NDArray[np.float64]:
        """Probability of mutation per position, where that of a gene of the backbone is ``rate``.

        One of the genome's own classes as a whole is expected to mutate as often as ``class_mutation`` genes,
        for it stands for the meaning of one allele.
        """
        if not self.own_classes:
            return rate
        rates = np.full(self.layout.size, rate)
        for number in range(self.own_classes):
            genes = mutable_genes(self.layout.class_alleles(vector, number))
            self.layout.put_class(rates, number, genes * min(1.0, rate * self.class_mutation / genes.sum()))
        return rates

    def sample(self, rng: np.random.Generator) -> Genome:
        """A random valid genome: each gene uniform over what is valid after the genes before it.

        Its own classes, where the space wants some, are mostly named ones (see ``founding.py``).
        """
        table = sampled_table(self.own_classes, self.novelty, rng) if self.own_classes else ()
        depth = self.depth if self.min_depth is None else _choose(rng, tuple(self.depths))
        drawn = Drawing(self, table)
        space = drawn.space
        for _ in range(depth):
            liv_class = _choose(rng, space.alleles(0, 0))
            weights, tied, group = (_choose(rng, space.alleles(liv_class, gene)) for gene in (1, 2, 3))
            strategy = _choose(rng, drawn.strategies(liv_class, group))
            drawn.append(LIV(liv_class, weights, tied, group, strategy))
        return drawn.genome()

    def problems(self, genome: Genome) -> Iterator[GenomeError]:
        """Every invalid position: of the genome's own classes, then from the first LIV to the last."""
        if len(genome.table) != self.own_classes:
            wanted = f"{self.own_classes} classes of its own" if self.own_classes else "no classes of its own"
            yield GenomeError(
                f"a genome of the space {self.name!r} brings {wanted}",
                value=len(genome.table),
                place="genome",
                fix=f"set space.preset to {OWN_CLASSES}, with space.classes: {len(genome.table)}"
                if genome.table
                else "write them after the LIVs, each after a '_', e.g. _12123",
            )
        for number, entry in enumerate(genome.table if self.own_classes else ()):
            for fault in faults(entry):
                position = self.layout.class_start(number) + fault.offset
                yield GenomeError(
                    fault.rule,
                    value=write_allele(fault.allele),
                    place=self.layout.place(position),
                    fix=fault.fix,
                    position=position,
                )
        yield from self.reading(genome).backbone_problems(genome)

    def backbone_problems(self, genome: Genome) -> Iterator[GenomeError]:
        """Every invalid position of the backbone, its classes being those of this space."""
        drawn = Drawing(self)
        for index, liv in enumerate(genome.livs):
            found = [problem for _, problem in drawn.problems(index, liv)]
            yield from found
            drawn.append(liv, valid=not found)

    def validate(self, genome: Genome) -> None:
        """Raises ``GenomeError`` at the first invalid position."""
        for problem in self.problems(genome):
            raise problem

    def is_valid(self, genome: Genome) -> bool:
        """Whether ``validate`` would pass."""
        return next(self.problems(genome), None) is None

    def repair(self, genome: Genome, rng: np.random.Generator) -> tuple[Genome, list[Change]]:
        """Makes a genome valid by re-sampling its invalid positions (see ``genome/repair.py``)."""
        from star_core.genome.repair import repair

        return repair(self, genome, rng)


@dataclass(frozen=True, slots=True)
class Change:
    """One repaired position: index into the vector, old and new allele, the rule that was broken."""

    position: int
    old: int
    new: int
    rule: str


def _choose(rng: np.random.Generator, alleles: tuple[int, ...]) -> int:
    return alleles[int(rng.integers(len(alleles)))]
