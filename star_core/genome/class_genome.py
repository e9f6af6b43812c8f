"""A class that a genome brings along: its integers and its text.

Text: the operator genome, e.g. ``12123`` for SA-1. Where no featurizer class of the table makes the feature
groups, the operator's first digit is 0 and the groups follow, in the order of their roles:
``02123-114211-114211-111214``.

Integers: genes 2 to 5 of the operator genome, then six for each role that one of the space's structures has,
whether the class has that role or not, so that one position means the same in all classes of a space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from star_core.errors import GenomeError
from star_core.genome.class_names import OWN_FEATURIZER, own_class
from star_core.structures.base import PAPER_STRUCTURES
from star_core.structures.feature_groups import Kind, Role
from star_core.structures.registered import featurizer_of, operator_genes, roles_of, structure_of, structures
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import (
    FEATURIZER_GENES,
    MAX_FEATURE_GROUPS,
    OPERATOR_GENES,
    Gene,
    read_allele,
    write_allele,
)

OPERATOR_PART, GROUP_PART = len(OPERATOR_GENES) - 1, len(FEATURIZER_GENES)

MAX_CLASS_TEXT = len(OPERATOR_GENES) + MAX_FEATURE_GROUPS * (GROUP_PART + 1)
"""Characters of a class at most."""

_WORD = 2 * GROUP_PART


@dataclass(frozen=True)
class ClassGenes:
    """The integers of the classes that genomes of a search space bring.

    Attributes:
        structures: Token-mixing alleles that the space admits.
    """

    structures: tuple[int, ...] = PAPER_STRUCTURES

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """Letter → role, in the order of their integers."""
        return {role.letter: role for role in roles_of(self.structures)}

    @cached_property
    def genes(self) -> tuple[tuple[str, Gene], ...]:
        """Position → the letter of its role (none for the operator's integers) and its gene."""
        operator = tuple(("", gene) for gene in operator_genes()[1:])
        return operator + tuple((role, gene) for role in self.roles for gene in FEATURIZER_GENES)

    @cached_property
    def size(self) -> int:
        """Integers of a class."""
        return len(self.genes)

    @cached_property
    def starts(self) -> Mapping[str, int]:
        """Role → where its six integers begin."""
        return {role: OPERATOR_PART + GROUP_PART * number for number, role in enumerate(self.roles)}

    @cached_property
    def absent(self) -> Mapping[str, tuple[int, ...]]:
        """Role → what stands in its place in a class whose structure does not have it."""
        return {
            letter: (3, 2, 1, 1, 3, 1) if role.kind is Kind.FILTER else (1, 1, 1, 2, 1, 1)
            for letter, role in self.roles.items()
        }

    def place(self, offset: int) -> str:
        """A position in a class's integers, in words."""
        role, gene = self.genes[offset]
        if not role:
            return f"operator gene {offset + 2} ({gene.name})"
        return f"group {role}, gene {(offset - OPERATOR_PART) % GROUP_PART + 1} ({gene.name})"

    def check_range(self, offset: int, allele: int) -> None:
        """Raises ``GenomeError`` where an integer is out of its gene's range, or stands for no structure."""
        gene = self.genes[offset][1]
        if not offset and allele not in gene.alleles:
            raise GenomeError(
                f"{gene.name} is one of {', '.join(map(write_allele, gene.alleles))}",
                value=allele,
                place=self.place(offset),
                fix="use one of them, or install the package that brings this structure",
                position=offset,
            )
        if not gene.low <= allele <= gene.high:
            raise gene.out_of_range(allele, self.place(offset), offset, write_allele)


PAPER_GENES = ClassGenes()


def genes_for(structures: Iterable[int]) -> ClassGenes:
    """The integers of classes of the paper's structures and these."""
    others = set(structures).difference(PAPER_STRUCTURES)
    return ClassGenes((*PAPER_STRUCTURES, *sorted(others))) if others else PAPER_GENES


@lru_cache(maxsize=1 << 14)
def class_of(genes: ClassGenes, alleles: tuple[int, ...]) -> LIVClass:
    """The class that so many integers stand for.

    Raises:
        GenomeError: One is out of its gene's range; its ``position`` is that in ``alleles``.
    """
    for offset, allele in enumerate(alleles):
        genes.check_range(offset, allele)
    operator = OperatorGenome.of((OWN_FEATURIZER, *alleles[:OPERATOR_PART]))
    roles = structure_of(operator.token_mixing).roles
    starts = (genes.starts[role] for role in roles)
    groups = tuple(FeatureGroupGenome.of(alleles[start : start + GROUP_PART]) for start in starts)
    return own_class(operator, FeaturizerGenome(roles, groups))


@lru_cache(maxsize=1 << 14)
def alleles_of(genes: ClassGenes, entry: LIVClass) -> tuple[int, ...]:
    """The integers of a class; ``absent`` for roles it does not have."""
    groups = dict(zip(entry.featurizer.roles, entry.featurizer.groups, strict=True))
    alleles = list(entry.operator.alleles[1:])
    for role in genes.roles:
        alleles += groups[role].alleles if role in groups else genes.absent[role]
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
    structure = structure_of(digits[1])
    roles, name, genes = structure.roles, structure.name, genes_for((structure.allele,))
    if digits[0] == OWN_FEATURIZER:
        if len(groups) != len(roles):
            raise GenomeError(
                f"a {name} operator has {len(roles)} feature groups ({' '.join(roles)}), not {len(groups)}",
                value=text,
                place="featurizer genome",
                fix=f"write {len(roles)} groups of {GROUP_PART} digits, each after a '-'",
            )
        featurizer = FeaturizerGenome(
            roles, tuple(_group(genes, word, role) for word, role in zip(groups, roles, strict=True))
        )
    elif groups:
        raise GenomeError(
            f"feature groups are written out only where the operator's first digit is {OWN_FEATURIZER}",
            value=text,
            place="operator gene 1 (featurizer)",
            fix=f"write {OWN_FEATURIZER}{operator[1:]}, or drop the groups",
        )
    else:
        featurizer = featurizer_of(digits[0])
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
    return tuple(_digits(PAPER_GENES, word, operator_genes(), "an operator genome", -1))


@lru_cache(maxsize=1 << 14)
def _group(genes: ClassGenes, word: str, role: str) -> FeatureGroupGenome:
    what = f"group {role} of a featurizer genome"
    return FeatureGroupGenome.of(_digits(genes, word, FEATURIZER_GENES, what, genes.starts[role]))


def _digits(own: ClassGenes, word: str, genes: Sequence[Gene], what: str, start: int) -> list[int]:
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
                place=own.place(offset) if offset >= 0 else f"operator gene 1 ({gene.name})",
                fix=f"use a digit, e.g. {gene.low}",
                position=offset if offset >= 0 else None,
            )
        if offset >= 0:
            own.check_range(offset, allele)
        elif allele > gene.high:
            raise GenomeError(
                f"{gene.name} is an integer from {gene.low} to {gene.high}, or {OWN_FEATURIZER} before "
                "groups of its own",
                value=allele,
                place=f"operator gene 1 ({gene.name})",
                fix=f"use {write_allele(gene.high)}, or install the package that brings this one",
            )
    return [read_allele(character) for character in word]


def featurizers_with(roles: tuple[str, ...]) -> tuple[int, ...]:
    """Featurizer classes that make these feature groups."""
    found = (structure.featurizers for structure in structures() if structure.roles == roles)
    return tuple(sorted(number for rows in found for number in rows))
