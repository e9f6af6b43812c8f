"""A class that a genome brings along: its integers and its text.

Text: the operator genome, e.g. ``12123`` for SA-1. Where no featurizer class of the table makes the feature
groups, the operator's first digit is 0 and the groups follow, in the order of their roles:
``02123-114211-114211-111214``.

Integers: genes 2 to 5 of the operator genome, then six per role in the order of ``ROLES``, whether the
structure has that role or not, so that one position means the same in all classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from star_core.errors import GenomeError
from star_core.genome.class_names import OWN_FEATURIZER, own_class
from star_core.structures.base import structure_of
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import (
    FEATURIZER_GENES,
    FEATURIZERS,
    OPERATOR_GENES,
    ROLES,
    Gene,
    TokenMixing,
    read_allele,
    write_allele,
)

OPERATOR_PART, GROUP_PART = len(OPERATOR_GENES) - 1, len(FEATURIZER_GENES)
CLASS_GENES: tuple[tuple[str, Gene], ...] = tuple(("", gene) for gene in OPERATOR_GENES[1:]) + tuple(
    (role, gene) for role in ROLES for gene in FEATURIZER_GENES
)
"""Position in a class's integers → its role (none for the operator's) and gene."""

GENES_PER_CLASS = len(CLASS_GENES)

ABSENT: dict[str, tuple[int, ...]] = {
    role: (3, 2, 1, 1, 3, 1) if role == "K" else (1, 1, 1, 2, 1, 1) for role in ROLES
}
"""What stands at the positions of a role that the class's structure does not have."""

MAX_CLASS_TEXT = len(OPERATOR_GENES) + 4 * (GROUP_PART + 1)
"""Characters of a class: no structure has more than four feature groups."""

_WORD = 2 * GROUP_PART


def class_place(offset: int) -> str:
    """A position in a class's integers, in words."""
    role, gene = CLASS_GENES[offset]
    if not role:
        return f"operator gene {offset + 2} ({gene.name})"
    return f"group {role}, gene {(offset - OPERATOR_PART) % GROUP_PART + 1} ({gene.name})"


@lru_cache(maxsize=1 << 14)
def class_of(alleles: tuple[int, ...]) -> LIVClass:
    """The class that ``GENES_PER_CLASS`` integers stand for.

    Raises:
        GenomeError: One is out of its gene's range; its ``position`` is that in ``alleles``.
    """
    for offset, allele in enumerate(alleles):
        _check_range(offset, allele)
    operator = OperatorGenome.of((OWN_FEATURIZER, *alleles[:OPERATOR_PART]))
    roles = structure_of(operator.token_mixing).roles
    groups = tuple(
        FeatureGroupGenome.of(alleles[start : start + GROUP_PART])
        for start, role in zip(range(OPERATOR_PART, GENES_PER_CLASS, GROUP_PART), ROLES, strict=True)
        if role in roles
    )
    return own_class(operator, FeaturizerGenome(roles, groups))


@lru_cache(maxsize=1 << 14)
def alleles_of(entry: LIVClass) -> tuple[int, ...]:
    """The ``GENES_PER_CLASS`` integers of a class; ``ABSENT`` for roles it does not have."""
    groups = dict(zip(entry.featurizer.roles, entry.featurizer.groups, strict=True))
    alleles = list(entry.operator.alleles[1:])
    for role in ROLES:
        alleles += groups[role].alleles if role in groups else ABSENT[role]
    return tuple(alleles)


def class_text(entry: LIVClass) -> str:
    """The text of a class; of a differential one, that of what it doubles."""
    if entry.operator.featurizer != OWN_FEATURIZER:
        return str(entry.operator)
    return f"{entry.operator}-{entry.featurizer}"


@lru_cache(maxsize=1 << 14)
def parse_class(text: str) -> LIVClass:
    """Reads the text of a class.

    Raises:
        GenomeError: Names what is wrong where; ``position`` is that in the class's integers.
    """
    operator, *groups = text.split("-") if len(text) <= MAX_CLASS_TEXT else [text]
    digits = _operator(operator)
    mixing = TokenMixing(digits[1])
    roles, name = structure_of(mixing).roles, mixing.name.lower().replace("_", "-")
    if digits[0] == OWN_FEATURIZER:
        if len(groups) != len(roles):
            raise GenomeError(
                f"a {name} operator has {len(roles)} feature groups ({' '.join(roles)}), not {len(groups)}",
                value=text,
                place="featurizer genome",
                fix=f"write {len(roles)} groups of {GROUP_PART} digits, each after a '-'",
            )
        featurizer = FeaturizerGenome(
            roles, tuple(_group(word, role) for word, role in zip(groups, roles, strict=True))
        )
    elif groups:
        raise GenomeError(
            f"feature groups are written out only where the operator's first digit is {OWN_FEATURIZER}",
            value=text,
            place="operator gene 1 (featurizer)",
            fix=f"write {OWN_FEATURIZER}{operator[1:]}, or drop the groups",
        )
    else:
        featurizer = FeaturizerGenome.of_class(digits[0])
        if featurizer.roles != roles:
            raise GenomeError(
                f"a {name} operator needs the feature groups {' '.join(roles)}, featurizer {digits[0]} "
                f"makes {' '.join(featurizer.roles)}",
                value=digits[0],
                place="operator gene 1 (featurizer)",
                fix="use one of " + ", ".join(map(write_allele, featurizers_with(roles))),
            )
    return own_class(OperatorGenome.of((OWN_FEATURIZER, *digits[1:])), featurizer)


@lru_cache(maxsize=1 << 12)
def _operator(word: str) -> tuple[int, ...]:
    return tuple(_digits(word, OPERATOR_GENES, "an operator genome", -1))


@lru_cache(maxsize=1 << 14)
def _group(word: str, role: str) -> FeatureGroupGenome:
    start = OPERATOR_PART + GROUP_PART * list(ROLES).index(role)
    what = f"group {role} of a featurizer genome"
    return FeatureGroupGenome.of(_digits(word, FEATURIZER_GENES, what, start))


def _digits(word: str, genes: Sequence[Gene], what: str, start: int) -> list[int]:
    """Integers of a word whose first one has position ``start`` among the class's; -1: it has none."""
    if len(word) != len(genes):
        raise GenomeError(
            f"{what} has {len(genes)} characters, not {len(word)}",
            value=word[:_WORD],
            fix=f"write {', '.join(gene.name for gene in genes)}, one character each",
        )
    for offset, (character, gene) in enumerate(zip(word, genes, strict=True), start):
        allele = read_allele(character)
        if allele < 0:
            raise GenomeError(
                "an allele is one character, 0-9 or a-z (a = 10)",
                value=character,
                place=class_place(offset) if offset >= 0 else f"operator gene 1 ({gene.name})",
                fix=f"use a digit, e.g. {gene.low}",
                position=offset if offset >= 0 else None,
            )
        if offset >= 0:
            _check_range(offset, allele)
        elif allele > gene.high:
            raise GenomeError(
                f"{gene.name} is an integer from {gene.low} to {gene.high}, or {OWN_FEATURIZER} before "
                "groups of its own",
                value=allele,
                place=f"operator gene 1 ({gene.name})",
                fix=f"use {write_allele(gene.high)}",
            )
    return [read_allele(character) for character in word]


def _check_range(offset: int, allele: int) -> None:
    gene = CLASS_GENES[offset][1]
    if not gene.low <= allele <= gene.high:
        raise gene.out_of_range(allele, class_place(offset), offset, write_allele)


def featurizers_with(roles: tuple[str, ...]) -> tuple[int, ...]:
    """Featurizer classes that make these feature groups."""
    return tuple(index for index, (made, _, _) in FEATURIZERS.items() if tuple(made.split()) == roles)
