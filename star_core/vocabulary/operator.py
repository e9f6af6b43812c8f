"""The operator genome (five integers) and the LIV class it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from star_core.vocabulary.featurizer import FeaturizerGenome, read_digits
from star_core.vocabulary.tables import (
    OPERATOR_GENES,
    ChannelMixing,
    Nonlinearity,
    Sparsity,
    write_allele,
)


@dataclass(frozen=True, slots=True, order=True)
class OperatorGenome:
    """Structure of T and the featurizer that feeds it, e.g. ``12123`` for SA-1."""

    featurizer: int
    token_mixing: int
    sparsity: Sparsity
    nonlinearity: Nonlinearity
    channel_mixing: ChannelMixing

    @classmethod
    def parse(cls, text: str) -> OperatorGenome:
        """Reads five base-36 characters.

        Raises:
            GenomeError: On a wrong length, character or value out of range.
        """
        values = read_digits(text, [gene.name for gene in OPERATOR_GENES], "operator genome")
        for number, (gene, value) in enumerate(zip(OPERATOR_GENES, values, strict=True), 1):
            if not gene.low <= value <= gene.high:
                raise gene.out_of_range(value, f"operator genome {text!r}, gene {number}")
        return cls.of(values)

    @classmethod
    def of(cls, alleles: Sequence[int]) -> OperatorGenome:
        """The genome of five integers, all in range."""
        featurizer, token, sparsity, nonlinearity, channel = alleles
        return cls(
            featurizer,
            token,
            Sparsity(sparsity),
            Nonlinearity(nonlinearity),
            ChannelMixing(channel),
        )

    @property
    def alleles(self) -> tuple[int, ...]:
        """Its five integers."""
        return (
            self.featurizer,
            self.token_mixing,
            self.sparsity.value,
            self.nonlinearity.value,
            self.channel_mixing.value,
        )

    def __str__(self) -> str:
        return "".join(map(write_allele, self.alleles))


@dataclass(frozen=True, slots=True, order=True)
class LIVClass:
    """One row of the class table: what the first backbone gene stands for.

    Attributes:
        name: As in the paper, e.g. ``SA-3`` or ``Rec-1-Diff``.
        operator: Operator genome.
        featurizer: Featurizer genome.
        differential: Whether two copies with their own featurizer weights run in parallel and the
            difference of their outputs is returned (arXiv 2410.05258, generalised).
    """

    name: str
    operator: OperatorGenome
    featurizer: FeaturizerGenome
    differential: bool

    def __hash__(self) -> int:
        # Classes key many tables; a name is nearly unique, and its hash is computed once.
        return hash((self.name, self.differential))
