"""What stands where in the vectors of a search space: LIVs in order of depth, then the genome's own classes.

All genomes of a space have vectors of one length, so that crossover and mutation can line them up. Where
depth varies there is a place for each LIV that may be, and zeros where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from star_core.genome.backbone import Genome, place_of
from star_core.genome.class_genome import GROUP_PART, OPERATOR_PART, PAPER_GENES, ClassGenes
from star_core.vocabulary.tables import BACKBONE_GENES, GENES_PER_LIV

Vector = npt.NDArray[np.int64]
NO_LIV = 0
"""Class gene of a place without a LIV."""


@dataclass(frozen=True)
class Layout:
    """Places of a space's vectors.

    Attributes:
        depth: Places for LIVs.
        classes: Classes a genome brings.
        varies: Whether a place for a LIV may be empty.
        genes: The integers of a class.
    """

    depth: int
    classes: int = 0
    varies: bool = False
    genes: ClassGenes = PAPER_GENES

    @property
    def backbone(self) -> int:
        """Integers before the class table."""
        return self.depth * GENES_PER_LIV

    @property
    def size(self) -> int:
        """Integers of a vector."""
        return self.backbone + self.classes * self.genes.size

    def encode(self, genome: Genome) -> Vector:
        """The vector of a genome."""
        vector = genome.to_vector(self.genes)
        if not self.varies:
            return vector
        own = genome.depth * GENES_PER_LIV
        empty = np.full(self.backbone - own, NO_LIV, dtype=np.int64)
        return np.concatenate([vector[:own], empty, vector[own:]])

    def decode(self, vector: Vector) -> Genome:
        """The genome of a vector. Empty places are skipped; in a LIV, a 0 besides its class means 1.

        Raises:
            GenomeError: It has another length, no LIV at all or an integer out of range.
        """
        if not self.varies:
            return Genome.from_vector(vector, self.classes, self.genes)
        livs = vector[: self.backbone].reshape(self.depth, GENES_PER_LIV)
        present = np.maximum(livs[livs[:, 0] != NO_LIV], 1)
        closed = np.concatenate([present.ravel(), vector[self.backbone :]])
        return Genome.from_vector(closed, self.classes, self.genes)

    def closed(self, vector: Vector) -> Vector:
        """The vector without empty places between LIVs."""
        return self.encode(self.decode(vector)) if self.varies else vector

    def present(self, vector: Vector) -> npt.NDArray[np.bool_]:
        """Per place for a LIV whether there is one."""
        return np.asarray(vector[: self.backbone : GENES_PER_LIV] != NO_LIV)

    def liv(self, position: int) -> int | None:
        """The place of the LIV that a position belongs to, from 0; ``None`` in the class table."""
        return position // GENES_PER_LIV if position < self.backbone else None

    def own_class(self, position: int) -> tuple[int, int]:
        """Of a position in the class table: which class, from 0, and the offset in its integers."""
        return divmod(position - self.backbone, self.genes.size)

    def class_start(self, number: int) -> int:
        """Where the integers of a class begin."""
        return self.backbone + number * self.genes.size

    def class_alleles(self, vector: Sequence[int] | Vector, number: int) -> tuple[int, ...]:
        """The integers of a class."""
        start = self.class_start(number)
        return tuple(int(allele) for allele in vector[start : start + self.genes.size])

    def put_class(self, vector: Vector, number: int, alleles: Sequence[int]) -> None:
        """Writes the integers of a class."""
        start = self.class_start(number)
        vector[start : start + self.genes.size] = alleles

    def place(self, position: int) -> str:
        """A position in words, as in errors."""
        if position < self.backbone:
            return place_of(position)
        number, offset = self.own_class(position)
        return f"genome, class {number + 1} of its own, {self.genes.place(offset)}"

    def gene(self, position: int) -> str:
        """What kind of gene stands at a position; for counting, so without its LIV or class."""
        if position < self.backbone:
            return BACKBONE_GENES[position % GENES_PER_LIV].name
        role, gene = self.genes.genes[self.own_class(position)[1]]
        return f"featurizer {gene.name}" if role else f"operator {gene.name}"

    def together(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Chosen positions, where each of the genome's own classes is chosen as a whole or not at all."""
        chosen = chosen.copy()
        for number in range(self.classes):
            start = self.class_start(number)
            chosen[start : start + self.genes.size] = chosen[start]
        return chosen

    @cached_property
    def _within_class(self) -> tuple[int, ...]:
        return (0, *range(OPERATOR_PART, self.genes.size, GROUP_PART))

    def cuts(self, level: str) -> Vector:
        """Positions before which parents may be cut.

        ``genes``: between any two genes of the backbone, and in the class table between operator genomes and
        genomes of feature groups, whose integers mean something only together. Any other level, and all where
        depth varies: between LIVs and between classes.
        """
        fine = level == "genes" and not self.varies
        cuts = list(range(0, self.backbone, 1 if fine else GENES_PER_LIV))[1:]
        for number in range(self.classes):
            start = self.class_start(number)
            cuts += [start + offset for offset in (self._within_class if fine else (0,))]
        return np.array(cuts, dtype=np.int64)
