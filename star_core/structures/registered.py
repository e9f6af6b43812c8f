"""The structures there are: files of this folder, and other packages' (entry points ``star.structures``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product

from star_core.errors import ConfigError, GenomeError, nearest
from star_core.registry import Registry
from star_core.structures.base import Family, Structure
from star_core.structures.feature_groups import READ, VALUE, WRITE, Role
from star_core.vocabulary.featurizer import FeaturizerGenome
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import (
    BACKBONE_GENES,
    MAX_ALLELE,
    MAX_FEATURE_GROUPS,
    OPERATOR_GENES,
    Gene,
    write_allele,
)

STRUCTURES: Registry[Structure] = Registry(
    "structure", "star_core.structures", "star.structures", "space.structures", ConfigError
)
_BY_ALLELE: dict[int, Structure] = {}
_FEATURIZERS: dict[int, FeaturizerGenome] = {}
_CLASSES: dict[int, LIVClass] = {}
_OWNERS: dict[tuple[str, object], str] = {}
"""What may be had once (kind, number or name) → the module that has it."""


def register(structure: Structure) -> Structure:
    """Makes a structure known, with its featurizer classes and LIV classes; called once, in its own file.

    Raises:
        ConfigError: It takes a number, a name or a letter that another one has, or breaks a rule of its own.
    """
    owner = structure.shape.__module__
    claims = list(_claims(structure))
    for what, taken in claims:
        other = _OWNERS.get((what, taken), owner)
        if other != owner:
            free = (number for number in range(1, MAX_ALLELE + 1) if (what, number) not in _OWNERS)
            fix = f"use {next(free, 'none: all are taken')}" if isinstance(taken, int) else "use another one"
            raise ConfigError(f"this {what} is that of {other}", value=taken, place=owner, fix=fix)
    _check(structure, owner)
    _OWNERS.update(dict.fromkeys(claims, owner))
    _BY_ALLELE[structure.allele] = structure
    _FEATURIZERS.update(structure.featurizer_genomes)
    for number, row in structure.classes.items():
        operator = OperatorGenome.parse(row.operator)
        featurizer = structure.featurizer_genomes[operator.featurizer]
        _CLASSES[number] = LIVClass(row.name, operator, featurizer, row.differential)
    return STRUCTURES.add(structure.name, structure)


def _claims(structure: Structure) -> Iterator[tuple[str, object]]:
    yield "structure's name", structure.name
    yield "token-mixing allele", structure.allele
    for number in structure.featurizers:
        yield "number of a featurizer class", number
    for number, row in structure.classes.items():
        yield "number of a LIV class", number
        yield "name of a LIV class", row.name
    for stem in structure.stems:
        yield "first word of names of classes", stem


def _check(structure: Structure, owner: str) -> None:
    """Raises ``ConfigError`` for what would fail later, and less clearly."""

    def refuse(rule: str, value: object, fix: str) -> ConfigError:
        return ConfigError(rule, value=value, place=owner, fix=fix)

    for what, number in _claims(structure):
        if isinstance(number, int) and not 1 <= number <= MAX_ALLELE:
            raise refuse(f"a {what} is 1 to {MAX_ALLELE}: one base-36 character", number, "use a free one")
    if VALUE not in structure.features or not len(structure.features) <= MAX_FEATURE_GROUPS:
        raise refuse(
            f"a structure has the feature group VALUE, and {MAX_FEATURE_GROUPS} at most",
            " ".join(structure.roles),
            "see star_core/structures/base.py",
        )
    if 1 not in structure.strategies or max(structure.strategies) > BACKBONE_GENES[4].high:
        raise refuse(
            f"feature-sharing strategies are 1 (none) to {BACKBONE_GENES[4].high}",
            sorted(structure.strategies),
            "drop some",
        )
    for gene, admitted in zip(
        OPERATOR_GENES[2:],
        (structure.sparsities, structure.nonlinearities, structure.channel_mixings),
        strict=True,
    ):
        if max(admitted) > gene.high:
            raise refuse(f"{gene.name} of an operator is {gene.low} to {gene.high}", max(admitted), "drop it")
    for known in _BY_ALLELE.values():
        for role in structure.features:
            if known.role.get(role.letter, role) != role:
                rule = f"this letter stands for another feature group in {known.name}"
                raise refuse(rule, role.letter, "use another letter")
        if known.family.name == structure.family.name and known.family != structure.family:
            raise refuse(f"{known.name} gives this family another colour", structure.family, "use its colour")
    try:
        for row in structure.classes.values():
            operator = OperatorGenome.parse(row.operator)
            own = operator.featurizer in structure.featurizers
            if not own or operator.token_mixing != structure.allele:
                raise refuse(
                    f"{row.name} has the token mixing {write_allele(structure.allele)} and a featurizer "
                    "class of its structure's own",
                    row.operator,
                    "correct its operator genome",
                )
            structure.check(operator, structure.featurizer_genomes[operator.featurizer])
    except GenomeError as error:
        raise refuse(error.rule, error.value, error.fix) from None
    for genes in product(structure.sparsities, structure.nonlinearities, structure.channel_mixings):
        operator = OperatorGenome(0, structure.allele, *genes)
        if not any(_admits(structure, operator, made) for made in structure.featurizer_genomes.values()):
            raise refuse("none of its featurizer classes fits this operator genome", str(operator), "add one")


def _admits(structure: Structure, operator: OperatorGenome, featurizer: FeaturizerGenome) -> bool:
    try:
        structure.check(operator, featurizer)
    except GenomeError:
        return False
    return True


def structure_of(allele: int) -> Structure:
    """The structure that the token-mixing allele of an operator genome stands for.

    Raises:
        GenomeError: There is none.
    """
    if allele not in _BY_ALLELE:
        known = structures()
        if allele not in _BY_ALLELE:
            raise GenomeError(
                "no structure has this token-mixing allele",
                value=allele,
                place="operator genome, gene 2 (token_mixing)",
                fix=f"use one of {', '.join(write_allele(entry.allele) for entry in known)}"
                + STRUCTURES.where_to_find(),
            )
    return _BY_ALLELE[allele]


def structures() -> tuple[Structure, ...]:
    """All structures, by allele."""
    STRUCTURES.names()
    return tuple(_BY_ALLELE[allele] for allele in sorted(_BY_ALLELE))


def class_table() -> dict[int, LIVClass]:
    """Every LIV class that has a number, by it."""
    structures()
    return dict(sorted(_CLASSES.items()))


def featurizer_of(number: int) -> FeaturizerGenome:
    """The featurizer class of this number.

    Raises:
        GenomeError: There is none.
    """
    if number not in _FEATURIZERS and number not in featurizer_table():
        raise GenomeError(
            "no such featurizer class",
            value=number,
            place="operator genome, gene 1 (featurizer)",
            fix=nearest(number, sorted(_FEATURIZERS)),
        )
    return _FEATURIZERS[number]


def featurizer_table() -> dict[int, str]:
    """What is special about each featurizer class, by number."""
    rows = {number: row for structure in structures() for number, row in structure.featurizers.items()}
    return {number: rows[number].meaning for number in sorted(rows)}


def operator_genes() -> tuple[Gene, ...]:
    """The genes of the operator genome, with the alleles that there are."""
    known = structures()
    featurizer, token_mixing, *others = OPERATOR_GENES
    return (
        replace(featurizer, high=max(_FEATURIZERS)),
        replace(
            token_mixing,
            high=known[-1].allele,
            alleles={entry.allele: entry.meaning for entry in known},
        ),
        *others,
    )


def roles_of(alleles: Iterable[int]) -> tuple[Role, ...]:
    """Roles of these structures: what reads, what writes, the value, then the others by their letters."""
    found = {role for allele in alleles for role in structure_of(allele).features}
    first = (READ, WRITE, VALUE)
    others = sorted(found.difference(first), key=lambda role: role.letter)
    return (*(role for role in first if role in found), *others)


def families() -> tuple[Family, ...]:
    """All families, in the order of their colours."""
    found = {structure.family for structure in structures()}
    return tuple(sorted(found, key=lambda family: (family.colour, family.name)))


def family_of(liv_class: LIVClass) -> Family:
    """The family of a class."""
    return structure_of(liv_class.operator.token_mixing).family


def classes_of(alleles: Iterable[int]) -> dict[int, LIVClass]:
    """LIV classes of these structures, by number."""
    wanted = set(alleles)
    return {number: entry for number, entry in class_table().items() if entry.operator.token_mixing in wanted}
