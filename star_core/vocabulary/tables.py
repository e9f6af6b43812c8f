"""Every integer of the three genome levels: its range and its meaning (arXiv 2411.17800, §3 and appendix A).

This file is the only place where an integer of a genome gets a meaning. The parser, the validator,
the compiler, ``star genes`` and the documentation all read these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from star_core.errors import GenomeError

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
"""One character per allele, base 36: ``a`` is 10, ``h`` is 17 (the differential classes)."""


class TokenMixing(IntEnum):
    """Structure of the operator over tokens, T^αβ ∈ R^{L×L}."""

    DIAGONAL = 1
    LOW_RANK = 2
    TOEPLITZ = 3
    SEMI_SEPARABLE = 4


class Sparsity(IntEnum):
    """Sparsity laid over the token-mixing structure."""

    NONE = 1
    BANDED = 2


class Nonlinearity(IntEnum):
    """Pointwise or row-wise function applied to a structure."""

    NONE = 1
    SOFTMAX = 2
    RELU = 3
    SWISH = 4


class ChannelMixing(IntEnum):
    """Structure of the operator over channels, T_ij ∈ R^{D×D}."""

    DIAGONAL = 1
    DENSE = 2
    GROUPED = 3


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


_TOKEN_MIXING = {1: "diagonal", 2: "low rank", 3: "(scaled) Toeplitz", 4: "sequentially semi-separable"}
_SPARSITY = {1: "none", 2: "banded"}
_NONLINEARITY = {1: "none", 2: "softmax", 3: "ReLU", 4: "swish"}
_CHANNEL_MIXING = {1: "diagonal", 2: "dense", 3: "grouped (heads)"}

FEATURIZERS: Mapping[int, tuple[str, tuple[str, ...], str]] = {
    1: ("C B V", ("111211", "111211", "111211"), "dense channel, diagonal token"),
    2: ("C B V", ("321211", "321211", "321211"), "dense channel, short Toeplitz token"),
    3: ("C B V", ("111211", "111214", "111214"), "as 1, last two groups repeated 4 times"),
    4: ("C B V", ("111211", "111212", "111212"), "as 1, last two groups repeated 2 times"),
    5: (
        "C B V A",
        ("3242g1", "3242g1", "324211", "111211"),
        "dense channel, short Toeplitz token, state expansion 16",
    ),
    6: (
        "C B V A",
        ("324221", "324221", "324211", "111211"),
        "dense channel, short Toeplitz token, state expansion 2",
    ),
    7: (
        "C B V K",
        ("111211", "111211", "111211", "321131"),
        "gates dense; explicit depthwise filter of length 3",
    ),
    8: (
        "C B V K",
        ("111211", "111211", "111211", "311181"),
        "gates dense; implicitly parametrised long depthwise filter, 8 modes",
    ),
    9: ("C V", ("111231", "111231"), "dense channel, diagonal token, expansion 3 (SwiGLU)"),
    10: ("C B V", ("114211", "114211", "111211"), "as 1, swish on the first two groups"),
}
"""Featurizer class → (roles, one six-integer genome per group, meaning). 1 to 9 are the paper's."""

ROLES: Mapping[str, str] = {
    "C": "what reads: query, read-out, output gate",
    "B": "what writes: key, input projection, input gate",
    "V": "what is carried: value",
    "A": "how the state decays",
    "K": "the filter",
}

OPERATORS: Mapping[int, tuple[str, str, bool]] = {
    1: ("SA-1", "12123", False),
    2: ("SA-2", "22123", False),
    3: ("SA-3", "32123", False),
    4: ("SA-4", "42123", False),
    5: ("Rec-1", "54111", False),
    6: ("Rec-2", "64111", False),
    7: ("GConv-1", "73111", False),
    8: ("GConv-2", "83111", False),
    9: ("GMemless", "91142", False),
    10: ("SA-1-Diff", "12123", True),
    11: ("SA-2-Diff", "22123", True),
    12: ("SA-3-Diff", "32123", True),
    13: ("SA-4-Diff", "42123", True),
    14: ("Rec-1-Diff", "54111", True),
    15: ("Rec-2-Diff", "64111", True),
    16: ("GConv-1-Diff", "73111", True),
    17: ("GConv-2-Diff", "83111", True),
    18: ("LA-1", "12113", False),
    19: ("LA-2", "a2113", False),
    20: ("SA-1-Band", "12223", False),
    21: ("SA-3-Band", "32223", False),
    22: ("SA-1-ReLU", "12133", False),
    23: ("SA-1-Swish", "12143", False),
    24: ("GConv-3", "73113", False),
    25: ("GMemless-2", "91143", False),
}
"""LIV class → (name, operator genome, differential?). 1 to 17 are the paper's, the others ours."""

PAPER_CLASSES = tuple(range(1, 18))

MAX_CLASSES = 35
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
    Gene("featurizer", 1, max(FEATURIZERS), "featurizer class: how x becomes the operator's feature groups"),
    Gene("token_mixing", 1, 4, "structure of T over tokens", _TOKEN_MIXING),
    Gene("sparsity", 1, 2, "sparsity of T over tokens", _SPARSITY),
    Gene("nonlinearity", 1, 4, "nonlinearity on the token-mixing structure", _NONLINEARITY),
    Gene("channel_mixing", 1, 3, "structure of T over channels", _CHANNEL_MIXING),
)
"""The operator genome: five integers per LIV class."""

FEATURIZER_GENES: tuple[Gene, ...] = (
    Gene("token_mixing", 1, 4, "how the featurizer mixes tokens", _TOKEN_MIXING),
    Gene(
        "sparsity",
        1,
        2,
        "banded: a short explicit causal filter; none: the structure in full length",
        _SPARSITY,
    ),
    Gene("nonlinearity", 1, 4, "applied to the features", _NONLINEARITY),
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
