"""Which classes the preset ``full`` admits, gene by gene: what those before allow the next one.

Sampling, validation and repair of a class all go through its integers once and in their order, so that they
agree by construction. What is valid is in ``class_alleles.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from star_core.genome.class_alleles import (
    EXPANSION,
    Alleles,
    admits,
    feature_groups,
    operator_of,
    partner_start,
    rule_broken,
    structure_alleles,
)
from star_core.genome.class_genome import OPERATOR_PART, ClassGenes, alleles_of
from star_core.structures.registered import structure_of
from star_core.vocabulary.operator import LIVClass, OperatorGenome
from star_core.vocabulary.tables import write_allele


@dataclass(frozen=True, slots=True)
class Fault:
    """An invalid integer of a class: its offset, the rule it breaks, what would be valid there."""

    offset: int
    allele: int
    rule: str
    valid: Alleles

    @property
    def fix(self) -> str:
        """In words."""
        return f"use {', '.join(map(write_allele, self.valid))}"


class ClassDrawing:
    """The integers of a class read or written from the first on."""

    def __init__(self, genes: ClassGenes) -> None:
        self.genes = genes
        self.alleles: list[int] = []

    def choices(self) -> Alleles:
        """What the next integer may be; empty where the structure has no such role."""
        offset = len(self.alleles)
        if not offset:
            return self.genes.structures
        if offset < OPERATOR_PART:
            return structure_alleles(self.alleles[0], offset)
        role = self.genes.genes[offset][0]
        operator, start = operator_of(tuple(self.alleles[:OPERATOR_PART])), self.genes.starts[role]
        prefix, expansion = tuple(self.alleles[start:]), None
        partner = partner_start(self.genes, operator.token_mixing, role)
        if partner is not None and partner < start:
            expansion = self.alleles[partner + EXPANSION]
        return _next(operator, role, prefix, expansion)

    def append(self, allele: int) -> None:
        """Takes the next integer."""
        self.alleles.append(allele)

    def fault(self, allele: int, valid: Alleles) -> Fault:
        """What is wrong with ``allele`` as the next integer, of which only ``valid`` are valid."""
        rule = rule_broken(self.genes, tuple(self.alleles), allele, valid)
        return Fault(len(self.alleles), allele, rule, valid)


def compose(genes: ClassGenes, choose: Callable[[ClassDrawing, int, Alleles], int]) -> Alleles:
    """The integers of a class, each chosen, at its offset, among those valid after the ones before it."""
    drawn = ClassDrawing(genes)
    for offset in range(genes.size):
        valid = drawn.choices()
        if valid:
            drawn.append(choose(drawn, offset, valid))
        else:
            role = genes.genes[offset][0]
            drawn.append(genes.absent[role][offset - genes.starts[role]])
    return tuple(drawn.alleles)


@lru_cache(maxsize=1 << 14)
def faults(genes: ClassGenes, entry: LIVClass) -> tuple[Fault, ...]:
    """Every invalid integer of a class, each judged as if those before it had been put right."""
    alleles, found = alleles_of(genes, entry), list[Fault]()
    if admits(genes, alleles):
        return ()

    def choose(drawn: ClassDrawing, offset: int, valid: Alleles) -> int:
        if alleles[offset] in valid:
            return alleles[offset]
        found.append(drawn.fault(alleles[offset], valid))
        return valid[0]

    compose(genes, choose)
    return tuple(found)


@lru_cache(maxsize=1 << 14)
def _next(operator: OperatorGenome, role: str, prefix: Alleles, expansion: int | None) -> Alleles:
    """What may follow ``prefix`` in the genome of a feature group (of a given expansion factor)."""
    if role not in structure_of(operator.token_mixing).roles:
        return ()
    place = len(prefix)
    return tuple(
        sorted(
            {
                group[place]
                for group in feature_groups(operator, role)
                if group[:place] == prefix and expansion in (None, group[EXPANSION])
            }
        )
    )
