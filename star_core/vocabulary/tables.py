"""Every integer of the three genome levels: its range and its meaning (arXiv 2411.17800, §3 and appendix A).

The parser, the validator, the compiler and ``star genes`` all read these tables. Token-mixing structures say
themselves what their integers mean, and those of their featurizer and LIV classes (``star_core/structures``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from star_core.errors import GenomeError

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
"""One character per allele, base 36: ``a`` is 10, ``h`` is 17 (the differential classes)."""


MAX_ALLELE = len(ALPHABET) - 1

UNMIXED, FILTERED = 1, 3
"""Token-mixing alleles that a feature group may have: none, or a causal filter. They are those of the
operator structures that do the same; what other alleles of the operator genome mean, the structures say
(``star_core/structures``)."""


class Sparsity(IntEnum):
    """Sparsity laid over the token-mixing structure."""

    NONE = 1
    BANDED = 2


class Nonlinearity(IntEnum):
    """Pointwise or row-wise function applied to a structure: softmax by operators only, norms by features."""

    NONE = 1
    SOFTMAX = 2
    RELU = 3
    SWISH = 4
    NORM = 5

    @property
    def words(self) -> str:
        """For people."""
        return {1: "none", 2: "softmax", 3: "ReLU", 4: "swish", 5: "RMS norm"}[self]


class ChannelMixing(IntEnum):
    """Structure of the operator over channels, T_ij ∈ R^{D×D}."""

    DIAGONAL = 1
    DENSE = 2
    GROUPED = 3

    @property
    def words(self) -> str:
        """For people."""
        return {1: "per channel", 2: "dense", 3: "by head"}[self]


@dataclass(frozen=True, slots=True)
class Gene:
    """One integer of a genome.

    Attributes:
        name: The gene's name in files and messages.
        low: Smallest allele.
        high: Largest allele of any search space; a space may allow less.
        meaning: One sentence.
        alleles: Meaning of single alleles where they are names rather than numbers.
    """

    name: str
    low: int
    high: int
    meaning: str
    alleles: Mapping[int, str] = field(default_factory=dict)

    def out_of_range(
        self, value: int, place: str, position: int | None = None, write: Callable[[int], str] = str
    ) -> GenomeError:
        """The error of a value below ``low`` or above ``high``, with the nearest allele as the fix.

        Args:
            value: The value that is out of range.
            place: Where it stands, for people.
            position: Where it stands in a vector, if it does.
            write: How alleles are written there.
        """
        return GenomeError(
            f"{self.name} is an integer from {self.low} to {self.high}",
            value=value,
            place=place,
            fix=f"use {write(min(max(value, self.low), self.high))}",
            position=position,
        )


_SPARSITY = {1: "none", 2: "banded"}
_OPERATOR_NONLINEARITY, _FEATURE_NONLINEARITY = (
    {allele.value: allele.words for allele in Nonlinearity if allele is not excluded}
    for excluded in (Nonlinearity.NORM, Nonlinearity.SOFTMAX)
)
_CHANNEL_MIXING = {1: "diagonal", 2: "dense", 3: "grouped (heads)"}

MAX_FEATURE_GROUPS = 8
"""Feature groups that one structure may have."""

MAX_CLASSES = MAX_ALLELE
MAX_OWN_CLASSES = 17
"""Classes that a genome may bring along: each has a differential variant, and an allele is one character."""

MAX_GROUPS = 35
MAX_DEPTH = 256

BACKBONE_GENES: tuple[Gene, ...] = (
    Gene("class", 1, MAX_CLASSES, "LIV class: stands for one operator genome and its featurizer genome"),
    Gene(
        "featurizer_group",
        1,
        MAX_GROUPS,
        "LIVs of the same class with the same index here share featurizer weights",
    ),
    Gene(
        "featurizer_strategy",
        1,
        2,
        "what is shared in the featurizer-sharing group",
        {1: "no weights", 2: "all featurizer weights"},
    ),
    Gene(
        "feature_group",
        1,
        MAX_GROUPS,
        "LIVs with the same index here reuse feature groups computed by the earliest of them",
    ),
    Gene(
        "feature_strategy",
        1,
        5,
        "which computed feature groups are reused; depends on the token-mixing structure",
        {1: "none"},
    ),
)
"""The backbone genome: five integers per LIV, in order of depth."""

GENES_PER_LIV = len(BACKBONE_GENES)

OPERATOR_GENES: tuple[Gene, ...] = (
    Gene("featurizer", 1, MAX_ALLELE, "featurizer class: how x becomes the operator's feature groups"),
    Gene("token_mixing", 1, MAX_ALLELE, "structure of T over tokens"),
    Gene("sparsity", 1, 2, "sparsity of T over tokens", _SPARSITY),
    Gene("nonlinearity", 1, 4, "nonlinearity on the token-mixing structure", _OPERATOR_NONLINEARITY),
    Gene("channel_mixing", 1, 3, "structure of T over channels", _CHANNEL_MIXING),
)
"""The operator genome: five integers per LIV class. Which alleles the first two have, the structures say."""

FEATURIZER_GENES: tuple[Gene, ...] = (
    Gene(
        "token_mixing",
        1,
        4,
        "how the featurizer mixes tokens",
        {UNMIXED: "diagonal: not at all", FILTERED: "Toeplitz: by a causal filter"},
    ),
    Gene(
        "sparsity",
        1,
        2,
        "banded: a short explicit causal filter; none: the structure in full length",
        _SPARSITY,
    ),
    Gene("nonlinearity", 1, 5, "applied to the features; a norm, to each head's", _FEATURE_NONLINEARITY),
    Gene("channel_mixing", 1, 3, "how the featurizer mixes channels", _CHANNEL_MIXING),
    Gene(
        "expansion",
        1,
        35,
        "feature channels per channel; for recurrences state size per channel; "
        "for filters taps (explicit) or modes (implicit) per channel",
    ),
    Gene("repeat", 1, 35, "how often the group is repeated across heads (4: four queries per key)"),
)
"""The featurizer genome: six integers per feature group."""


def read_allele(character: str) -> int:
    """The integer one base-36 character stands for; -1 for any other text."""
    return ALPHABET.find(character) if len(character) == 1 else -1


def write_allele(value: int) -> str:
    """The base-36 character of an allele, 0 <= value <= 35."""
    return ALPHABET[value]
