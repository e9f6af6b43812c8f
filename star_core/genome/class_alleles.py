"""Which operator genomes and feature groups the preset ``full`` admits, by asking the structures' rules.

Valid is what those say (``star_core/structures``). Expansion and repeat factors, which the rules leave open,
are bounded: the former by each structure, the latter for all. A norm of features is younger than stored runs
of ``full``, which would sample otherwise: it is in none of its classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from star_core.errors import GenomeError
from star_core.genome.class_genome import GROUP_PART, OPERATOR_PART, ClassGenes
from star_core.genome.class_names import OWN_FEATURIZER
from star_core.structures.feature_groups import Role, check_feature_group
from star_core.structures.registered import structure_of
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import FEATURIZER_GENES, Nonlinearity

REPEATS = (1, 2, 4)
"""Repeat factors of the space: those that divide four heads, which every default head size leaves."""

SPARSITY, EXPANSION = (
    [gene.name for gene in FEATURIZER_GENES].index(name) for name in ("sparsity", "expansion")
)
"""Index of these two genes among the six integers of a feature group."""

Alleles = tuple[int, ...]


@lru_cache(maxsize=64)
def structure_alleles(token_mixing: int, offset: int) -> Alleles:
    """Alleles that a structure admits for its sparsity, nonlinearity or channel mixing (offset 1 to 3)."""
    structure = structure_of(token_mixing)
    admitted = (structure.sparsities, structure.nonlinearities, structure.channel_mixings)[offset - 1]
    return tuple(sorted(map(int, admitted)))


def gene_alleles(genes: ClassGenes, alleles: Alleles, offset: int) -> Alleles:
    """Alleles that an integer of a class may take by itself; empty where the structure has no such role.

    What another gene decides has one allele: the sparsity of features goes with their token mixing, the
    expansion factor of matched groups is that of the first, and much of an operator with its structure.
    """
    if not offset:
        return genes.structures
    if offset < OPERATOR_PART:
        return structure_alleles(alleles[0], offset)
    role, gene = genes.genes[offset][0], (offset - OPERATOR_PART) % GROUP_PART
    start, partner = genes.starts[role], partner_start(genes, alleles[0], role)
    if gene == EXPANSION and partner is not None and partner < start:
        return (alleles[partner + EXPANSION],)
    token = alleles[start] if gene == SPARSITY else None
    return _group_alleles(_nearest(alleles[:OPERATOR_PART]), role, gene, token)


def settled(genes: ClassGenes, alleles: Alleles) -> Alleles:
    """The integers of a class after those with one allele have taken it."""
    found = list(alleles)
    for offset in range(genes.size):
        only = gene_alleles(genes, tuple(found), offset)
        if len(only) == 1:
            found[offset] = only[0]
    return tuple(found)


def mutable_genes(genes: ClassGenes, alleles: Alleles) -> npt.NDArray[np.bool_]:
    """Per integer of a class whether it has a meaning there, and more than one allele."""
    return np.array(_mutable(genes, alleles))


@lru_cache(maxsize=1 << 14)
def _mutable(genes: ClassGenes, alleles: Alleles) -> tuple[bool, ...]:
    return tuple(len(gene_alleles(genes, alleles, offset)) > 1 for offset in range(genes.size))


@lru_cache(maxsize=4096)
def _group_alleles(operator: OperatorGenome, role: str, gene: int, token: int | None) -> Alleles:
    """What a gene of a feature group may be, the others aside (but for a given token mixing)."""
    if role not in structure_of(operator.token_mixing).roles:
        return ()
    groups = feature_groups(operator, role)
    return tuple(sorted({group[gene] for group in groups if token in (None, group[0])}))


@lru_cache(maxsize=1024)
def feature_groups(operator: OperatorGenome, role: str) -> tuple[Alleles, ...]:
    """Every genome of a feature group that the operator admits, beside others that agree with it."""
    structure = structure_of(operator.token_mixing)
    factors = product(structure.expansions.get(role, (1,)), REPEATS)
    groups = [(*genes, *pair) for pair in factors for genes in _feature_genes(structure.role[role])]
    check = structure.check
    made = {group: beside(operator, role, FeatureGroupGenome.of(group)) for group in sorted(groups)}
    return tuple(group for group, featurizer in made.items() if _holds(check, operator, featurizer))


def admits(genes: ClassGenes, alleles: Alleles) -> bool:
    """Whether a class is valid: what going through it gene by gene would find, in a fraction of the time."""
    mixing = alleles[0]
    if mixing not in genes.structures:
        return False
    for offset in range(1, OPERATOR_PART):
        if alleles[offset] not in structure_alleles(alleles[0], offset):
            return False
    operator = operator_of(alleles[:OPERATOR_PART])
    for role in structure_of(mixing).roles:
        start, partner = genes.starts[role], partner_start(genes, mixing, role)
        if alleles[start : start + GROUP_PART] not in _group_set(operator, role):
            return False
        if partner is not None and alleles[partner + EXPANSION] != alleles[start + EXPANSION]:
            return False
    return True


@lru_cache(maxsize=1024)
def _group_set(operator: OperatorGenome, role: str) -> frozenset[Alleles]:
    return frozenset(feature_groups(operator, role))


@lru_cache(maxsize=64)
def _feature_genes(role: Role) -> tuple[Alleles, ...]:
    """First four genes of every feature group of this role that can be computed at all."""
    ranges = [range(gene.low, gene.high + 1) for gene in FEATURIZER_GENES[:4]]
    return tuple(
        genes
        for genes in product(*ranges)
        if genes[2] != Nonlinearity.NORM
        and _holds(check_feature_group, role, FeatureGroupGenome.of((*genes, 1, 1)))
    )


def valid_classes(structures: Iterable[int]) -> Iterator[tuple[OperatorGenome, int]]:
    """Every operator genome (genes 2 to 5) of these structures and how many featurizer genomes it admits."""
    for token in structures:
        structure = structure_of(token)
        apart = set(structure.roles).difference(*structure.matched)
        for genes in product(*(structure_alleles(token, offset) for offset in range(1, OPERATOR_PART))):
            operator, count = operator_of((token, *genes)), 1
            for together in (*structure.matched, *((role,) for role in apart)):
                made = [
                    Counter(group[EXPANSION] for group in feature_groups(operator, role)) for role in together
                ]
                count *= sum(prod(groups[factor] for groups in made) for factor in made[0])
            yield operator, count


def beside(operator: OperatorGenome, role: str, group: FeatureGroupGenome) -> FeaturizerGenome:
    """A featurizer that the operator admits, but with this group, and others that match it."""
    usual = _usual(operator)
    groups = dict(zip(usual.roles, usual.groups, strict=True))
    groups[role] = group
    return FeaturizerGenome(usual.roles, tuple(_matched(operator.token_mixing, groups, role).values()))


def _matched(mixing: int, groups: dict[str, FeatureGroupGenome], role: str) -> dict[str, FeatureGroupGenome]:
    """The groups with the expansion factor of ``role`` where the structure wants one for several."""
    together = next((roles for roles in structure_of(mixing).matched if role in roles), ())
    same = groups[role].expansion
    return {
        name: replace(group, expansion=same) if name in together else group for name, group in groups.items()
    }


@lru_cache(maxsize=1024)
def _usual(operator: OperatorGenome) -> FeaturizerGenome:
    """The first featurizer class of the structure that the operator admits."""
    structure = structure_of(operator.token_mixing)
    made = structure.featurizer_genomes.values()
    return next(featurizer for featurizer in made if _holds(structure.check, operator, featurizer))


def rule_broken(own: ClassGenes, before: Alleles, allele: int, valid: Alleles) -> str:
    """Why ``allele`` cannot follow the valid integers ``before``: the structure's words, or the space's."""
    offset = len(before)
    role, gene = own.genes[offset]
    if not offset:
        return f"the space admits {gene.name} in {{{', '.join(map(str, valid))}}}"
    if not role:
        operator = _nearest((*before, allele))
        operator = replace(operator, **{gene.name: type(getattr(operator, gene.name))(allele)})
        featurizer = _usual(_nearest(before))
    else:
        operator, start = operator_of(before[:OPERATOR_PART]), own.starts[role]
        usual = _usual(operator)
        groups = dict(zip(usual.roles, usual.groups, strict=True))
        for earlier in usual.roles[: usual.roles.index(role)]:
            at = own.starts[earlier]
            groups[earlier] = FeatureGroupGenome.of(before[at : at + GROUP_PART])
            groups = _matched(operator.token_mixing, groups, earlier)
        group = list(groups[role].alleles)
        group[: offset - start] = before[start:]
        group[offset - start] = allele
        groups[role] = FeatureGroupGenome.of(group)
        partner = partner_start(own, operator.token_mixing, role)
        if partner is None or partner > start:
            groups = _matched(operator.token_mixing, groups, role)
        featurizer = FeaturizerGenome(usual.roles, tuple(groups.values()))
    try:
        structure_of(operator.token_mixing).check(operator, featurizer)
    except GenomeError as error:
        return error.rule
    where = f" for group {role}" if role else ""
    return f"the space admits {gene.name} in {{{', '.join(map(str, valid))}}}{where}"


@lru_cache(maxsize=4096)
def operator_of(genes: Alleles) -> OperatorGenome:
    """The operator genome of four valid integers."""
    return OperatorGenome.of((OWN_FEATURIZER, *genes))


def _nearest(genes: Alleles) -> OperatorGenome:
    """The operator genome that begins with ``genes``, as far as they are valid."""
    filled = [genes[0]]
    for offset in range(1, OPERATOR_PART):
        valid = structure_alleles(genes[0], offset)
        filled.append(genes[offset] if offset < len(genes) and genes[offset] in valid else valid[0])
    return operator_of(tuple(filled))


@lru_cache(maxsize=256)
def partner_start(genes: ClassGenes, mixing: int, role: str) -> int | None:
    """Where the group stands whose expansion factor must be equal."""
    for roles in structure_of(mixing).matched:
        if role in roles:
            return genes.starts[next(other for other in roles if other != role)]
    return None


def _holds(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except GenomeError:
        return False
    return True
