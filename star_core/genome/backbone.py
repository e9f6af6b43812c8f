"""The backbone genome: five integers per LIV, and its text and vector codecs.

A genome of the preset ``full`` brings its own LIV classes as well; any other means those of the class table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain

import numpy as np
import numpy.typing as npt

from star_core.errors import GenomeError
from star_core.genome.class_genome import (
    MAX_CLASS_TEXT,
    PAPER_GENES,
    ClassGenes,
    alleles_of,
    class_of,
    class_text,
    genes_for,
    parse_class,
)
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import (
    BACKBONE_GENES,
    GENES_PER_LIV,
    MAX_DEPTH,
    MAX_OWN_CLASSES,
    read_allele,
    write_allele,
)

MAX_BACKBONE_TEXT = MAX_DEPTH * (GENES_PER_LIV + 1)
MAX_TEXT = MAX_BACKBONE_TEXT + MAX_OWN_CLASSES * (MAX_CLASS_TEXT + 1)
"""Characters of a genome at most."""


@dataclass(frozen=True, slots=True, order=True)
class LIV:
    """The five genes of one linear input-varying operator of the backbone (see ``BACKBONE_GENES``)."""

    liv_class: int
    featurizer_group: int = 1
    featurizer_strategy: int = 1
    feature_group: int = 1
    feature_strategy: int = 1

    def __iter__(self) -> Iterator[int]:
        return (getattr(self, f.name) for f in fields(self))

    def __str__(self) -> str:
        return "".join(write_allele(allele) for allele in self)


@dataclass(frozen=True, slots=True, order=True)
class Genome:
    """A backbone: LIVs in order of depth, and the LIV classes it brings, if any.

    Text form: one group of five base-36 characters per LIV, joined by ``-``, for example
    ``21211-31112-21221-32112`` (arXiv 2411.17800, §3). Then, each after a ``_``, the classes it brings
    (see ``class_genome.py``): ``11211-21112-41111_12123_73111_91142``.

    Attributes:
        livs: In order of depth.
        table: K classes of its own. Allele k of a LIV's class means the k-th of them, allele K + k the
            differential variant of that, as the paper's 10 to 17 are of 1 to 8.
    """

    livs: tuple[LIV, ...]
    table: tuple[LIVClass, ...] = ()

    def __post_init__(self) -> None:
        if len(self.table) > MAX_OWN_CLASSES:
            raise GenomeError(
                f"a genome brings at most {MAX_OWN_CLASSES} classes",
                value=len(self.table),
                fix=f"drop {len(self.table) - MAX_OWN_CLASSES} of them",
            )
        last = 2 * len(self.table)
        for index, liv in enumerate(self.livs if self.table else ()):
            if liv.liv_class > last:
                raise GenomeError(
                    f"where a genome brings {len(self.table)} classes, class is an integer from 1 to {last}",
                    value=liv.liv_class,
                    place=place_of(index * GENES_PER_LIV),
                    fix=f"use {write_allele(last)}, or bring more classes",
                    position=index * GENES_PER_LIV,
                )
        if not self.livs:
            raise GenomeError("a genome has at least one LIV", value="", fix="write e.g. '11111'")
        if len(self.livs) > MAX_DEPTH:
            raise GenomeError(
                f"a genome has at most {MAX_DEPTH} LIVs",
                value=len(self.livs),
                fix=f"drop {len(self.livs) - MAX_DEPTH} of them",
            )
        for position, allele in enumerate(self.alleles()):
            gene = BACKBONE_GENES[position % GENES_PER_LIV]
            if not gene.low <= allele <= gene.high:
                raise gene.out_of_range(allele, place_of(position), position)

    @classmethod
    def parse(cls, text: str) -> Genome:
        """Reads the text form.

        Raises:
            GenomeError: Names the position, the value, the rule and the nearest valid choice.
        """
        if not isinstance(text, str):
            raise GenomeError("a genome is text", value=text, fix="write e.g. '21211-31112'")
        backbone, *table = text.strip().split("_", MAX_OWN_CLASSES + 1) if len(text) <= MAX_TEXT else [text]
        if len(backbone) > MAX_BACKBONE_TEXT:
            raise GenomeError(f"a genome has at most {MAX_DEPTH} LIVs", value=text, fix="shorten it")
        livs = []
        for index, word in enumerate(backbone.split("-")):
            if len(word) != GENES_PER_LIV:
                raise GenomeError(
                    f"a LIV is written with {GENES_PER_LIV} characters, not {len(word)}",
                    value=word,
                    place=f"genome, LIV {index + 1}",
                    fix="write class, featurizer group, featurizer strategy, feature group and "
                    "feature strategy, one character each, LIVs joined by '-'",
                )
            for offset, character in enumerate(word):
                if read_allele(character) < 0:
                    raise GenomeError(
                        "an allele is one character, 0-9 or a-z (a = 10)",
                        value=character,
                        place=place_of(index * GENES_PER_LIV + offset),
                        fix=f"use {character.lower()!r}"
                        if read_allele(character.lower()) >= 0
                        else f"use a digit, e.g. {BACKBONE_GENES[offset].low}",
                        position=index * GENES_PER_LIV + offset,
                    )
            livs.append(LIV(*(read_allele(character) for character in word)))
        start = len(livs) * GENES_PER_LIV
        words = enumerate(table)
        return cls(tuple(livs), tuple(_class(word, number, start, PAPER_GENES) for number, word in words))

    @classmethod
    def from_vector(
        cls,
        vector: Sequence[int] | npt.NDArray[np.int64],
        classes: int = 0,
        genes: ClassGenes = PAPER_GENES,
    ) -> Genome:
        """Reads a flat vector of ``5 × depth`` integers, and ``genes`` for each class the genome brings.

        Raises:
            GenomeError: On a length that is no multiple of five, a non-integer or a value out of range.
        """
        every = list(vector)
        size = genes.size if classes else 1
        start = max(0, len(every) - classes * size)
        values, rest = every[:start], every[start:]
        if len(values) % GENES_PER_LIV:
            raise GenomeError(
                f"a genome vector has {GENES_PER_LIV} integers per LIV",
                value=len(values),
                place="genome vector, length",
                fix=f"use {len(values) - len(values) % GENES_PER_LIV} integers",
            )
        for position, value in enumerate(every):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise GenomeError(
                    "an allele is an integer",
                    value=value,
                    place=place_of(position) if position < start else "genome vector, class table",
                    fix="use whole numbers",
                    position=position,
                )
        chunks = (values[i : i + GENES_PER_LIV] for i in range(0, len(values), GENES_PER_LIV))
        table = (
            _class(tuple(map(int, rest[i : i + size])), i // size, start, genes)
            for i in range(0, len(rest), size)
        )
        return cls(tuple(LIV(*map(int, chunk)) for chunk in chunks), tuple(table))

    def alleles(self) -> Iterator[int]:
        """All integers of the backbone in order of depth."""
        return (allele for liv in self.livs for allele in liv)

    def to_vector(self, genes: ClassGenes | None = None) -> npt.NDArray[np.int64]:
        """The flat vector that evolution works on: 5 integers for each LIV, then ``genes`` for each class.

        Without ``genes`` those of the paper's structures, and of others that its classes have.
        """
        genes = genes or genes_for(entry.operator.token_mixing for entry in self.table)
        own = chain.from_iterable(alleles_of(genes, entry) for entry in self.table)
        return np.fromiter(chain(self.alleles(), own), dtype=np.int64)

    @property
    def depth(self) -> int:
        """Number of LIVs."""
        return len(self.livs)

    def __str__(self) -> str:
        return "_".join(("-".join(map(str, self.livs)), *map(class_text, self.table)))


def place_of(position: int) -> str:
    """A vector position as a user reads it: LIVs and genes count from 1."""
    liv, gene = divmod(position, GENES_PER_LIV)
    return f"genome, LIV {liv + 1}, gene {gene + 1} ({BACKBONE_GENES[gene].name})"


def _class(given: str | tuple[int, ...], number: int, start: int, genes: ClassGenes) -> LIVClass:
    """The class at a place of the table, which begins at vector position ``start``."""
    try:
        return parse_class(given) if isinstance(given, str) else class_of(genes, given)
    except GenomeError as error:
        offset = error.position
        raise GenomeError(
            error.rule,
            value=error.value,
            place=", ".join(filter(None, (f"genome, class {number + 1} of its own", error.place))),
            fix=error.fix,
            position=None if offset is None else start + number * genes.size + offset,
        ) from None
