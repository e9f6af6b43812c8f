"""What genomes of a search space may say, as data: classes, sharing indices, depths, alleles of each gene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from star_core.genome.backbone import Genome
from star_core.genome.class_alleles import gene_alleles, mutable_genes, settled
from star_core.genome.class_genome import ClassGenes
from star_core.genome.class_names import with_variants
from star_core.genome.layout import NO_LIV, Layout, Vector
from star_core.structures.base import PAPER_STRUCTURES
from star_core.structures.registered import structure_of
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import GENES_PER_LIV

OWN_CLASSES = "full"
"""The preset whose genomes bring their own classes."""


@dataclass(frozen=True)
class Alphabet:
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
        structures: Token-mixing alleles that its own classes may have.
    """

    name: str
    classes: Mapping[int, LIVClass] = field(repr=False)
    depth: int = 8
    groups: int = 4
    min_depth: int | None = None
    own_classes: int = 0
    novelty: float = 0.0
    class_mutation: float = 1.0
    structures: tuple[int, ...] = PAPER_STRUCTURES

    @cached_property
    def layout(self) -> Layout:
        """What stands where in the vectors of this space."""
        return Layout(self.depth, self.own_classes, self.min_depth is not None, ClassGenes(self.structures))

    @property
    def named(self) -> tuple[LIVClass, ...]:
        """The classes that are no differential variants, by number."""
        return tuple(entry for entry in self.classes.values() if not entry.differential)

    @property
    def depths(self) -> range:
        """Numbers of LIVs a genome may have."""
        return range(self.depth if self.min_depth is None else self.min_depth, self.depth + 1)

    def reading(self, genome: Genome) -> Self:
        """The space in which the classes of this genome mean those it brings, if it brings any."""
        return self.with_table(genome.table)

    def with_table(self, table: tuple[LIVClass, ...]) -> Self:
        """The space with these classes and their differential variants; itself without any."""
        return replace(self, classes=with_variants(table), own_classes=0) if table else self

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
            return gene_alleles(self.layout.genes, self.layout.class_alleles(vector, number), offset)
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
            alleles = self.layout.class_alleles(vector, number)
            self.layout.put_class(vector, number, settled(self.layout.genes, alleles))
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
            genes = mutable_genes(self.layout.genes, self.layout.class_alleles(vector, number))
            self.layout.put_class(rates, number, genes * min(1.0, rate * self.class_mutation / genes.sum()))
        return rates
