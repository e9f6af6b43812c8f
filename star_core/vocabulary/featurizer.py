"""The featurizer genome: six integers per feature group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from star_core.errors import GenomeError
from star_core.vocabulary.tables import (
    FEATURIZER_GENES,
    ChannelMixing,
    Nonlinearity,
    Sparsity,
    read_allele,
    write_allele,
)


@dataclass(frozen=True, slots=True, order=True)
class FeatureGroupGenome:
    """How one feature group is computed: ``nonlinearity(token_mixing(channel_mixing(x)))``."""

    token_mixing: int
    sparsity: Sparsity
    nonlinearity: Nonlinearity
    channel_mixing: ChannelMixing
    expansion: int
    repeat: int

    @classmethod
    def parse(cls, text: str) -> FeatureGroupGenome:
        """Reads six base-36 characters, e.g. ``111214``."""
        values = read_digits(text, [gene.name for gene in FEATURIZER_GENES], "featurizer genome")
        for gene, value in zip(FEATURIZER_GENES, values, strict=True):
            if not gene.low <= value <= gene.high:
                raise gene.out_of_range(value, f"featurizer genome {text!r}")
        return cls.of(values)

    @classmethod
    def of(cls, alleles: Sequence[int]) -> FeatureGroupGenome:
        """The genome of six integers, all in range."""
        token, sparsity, nonlinearity, channel, expansion, repeat = alleles
        return cls(
            token,
            Sparsity(sparsity),
            Nonlinearity(nonlinearity),
            ChannelMixing(channel),
            expansion,
            repeat,
        )

    @property
    def alleles(self) -> tuple[int, ...]:
        """Its six integers."""
        return (
            self.token_mixing,
            self.sparsity.value,
            self.nonlinearity.value,
            self.channel_mixing.value,
            self.expansion,
            self.repeat,
        )

    def __str__(self) -> str:
        return "".join(map(write_allele, self.alleles))


@dataclass(frozen=True, slots=True, order=True)
class FeaturizerGenome:
    """The feature groups of one featurizer class, in the order of their roles."""

    roles: tuple[str, ...]
    groups: tuple[FeatureGroupGenome, ...]

    def __str__(self) -> str:
        return "-".join(map(str, self.groups))


def read_digits(text: str, names: list[str], what: str) -> list[int]:
    """The integers of a fixed-length base-36 word.

    Raises:
        GenomeError: On a wrong length or a character outside 0-9 and a-z.
    """
    if not isinstance(text, str) or len(text) != len(names):
        raise GenomeError(
            f"{what} has {len(names)} characters: {', '.join(names)}", value=text, fix="write them all"
        )
    for position, character in enumerate(text):
        if read_allele(character) < 0:
            raise GenomeError(
                "an allele is one character, 0-9 or a-z (a = 10)",
                value=character,
                place=f"{what}, gene {position + 1} ({names[position]})",
                fix="use a digit",
            )
    return [read_allele(character) for character in text]
