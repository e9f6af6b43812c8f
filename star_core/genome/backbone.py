"""The backbone genome: five integers per LIV, and its text and vector codecs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from star_core.errors import GenomeError
from star_core.genome.tables import BACKBONE_GENES, GENES_PER_LIV, MAX_DEPTH, read_allele, write_allele

MAX_TEXT = MAX_DEPTH * (GENES_PER_LIV + 1)


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
    """A backbone: LIVs in order of depth.

    Text form: one group of five base-36 characters per LIV, joined by ``-``, for example
    ``21211-31112-21221-32112`` (arXiv 2411.17800, §3).
    """

    livs: tuple[LIV, ...]

    def __post_init__(self) -> None:
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
                raise GenomeError(
                    f"{gene.name} is an integer from {gene.low} to {gene.high}",
                    value=allele,
                    place=place_of(position),
                    fix=f"use {min(max(allele, gene.low), gene.high)}",
                    position=position,
                )

    @classmethod
    def parse(cls, text: str) -> Genome:
        """Reads the text form.

        Raises:
            GenomeError: Names the position, the value, the rule and the nearest valid choice.
        """
        if not isinstance(text, str):
            raise GenomeError("a genome is text", value=text, fix="write e.g. '21211-31112'")
        if len(text) > MAX_TEXT:
            raise GenomeError(f"a genome has at most {MAX_DEPTH} LIVs", value=text, fix="shorten it")
        livs = []
        for index, word in enumerate(text.strip().split("-")):
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
        return cls(tuple(livs))

    @classmethod
    def from_vector(cls, vector: Sequence[int] | npt.NDArray[np.int64]) -> Genome:
        """Reads a flat vector of ``5 × depth`` integers.

        Raises:
            GenomeError: On a length that is no multiple of five, a non-integer or a value out of range.
        """
        values = list(vector)
        if len(values) % GENES_PER_LIV:
            raise GenomeError(
                f"a genome vector has {GENES_PER_LIV} integers per LIV",
                value=len(values),
                place="genome vector, length",
                fix=f"use {len(values) - len(values) % GENES_PER_LIV} integers",
            )
        for position, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise GenomeError(
                    "an allele is an integer",
                    value=value,
                    place=place_of(position),
                    fix="use whole numbers",
                    position=position,
                )
        chunks = (values[i : i + GENES_PER_LIV] for i in range(0, len(values), GENES_PER_LIV))
        return cls(tuple(LIV(*map(int, chunk)) for chunk in chunks))

    def alleles(self) -> Iterator[int]:
        """All integers in order of depth."""
        return (allele for liv in self.livs for allele in liv)

    def to_vector(self) -> npt.NDArray[np.int64]:
        """The flat vector of ``5 × depth`` integers that evolution works on."""
        return np.fromiter(self.alleles(), dtype=np.int64, count=len(self.livs) * GENES_PER_LIV)

    @property
    def depth(self) -> int:
        """Number of LIVs."""
        return len(self.livs)

    def __str__(self) -> str:
        return "-".join(map(str, self.livs))


def place_of(position: int) -> str:
    """A vector position as a user reads it: LIVs and genes count from 1."""
    liv, gene = divmod(position, GENES_PER_LIV)
    return f"genome, LIV {liv + 1}, gene {gene + 1} ({BACKBONE_GENES[gene].name})"
