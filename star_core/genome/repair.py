"""Repair by re-sampling the invalid position (the paper's guard rail, arXiv 2411.17800, §4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from star_core.genome.alphabet import Alphabet
from star_core.genome.backbone import LIV, Genome
from star_core.genome.class_genome import ClassGenes, alleles_of, class_of
from star_core.genome.drawing import Drawing
from star_core.genome.lower_levels import ClassDrawing, compose, faults
from star_core.genome.validity import problems
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import GENES_PER_LIV


@dataclass(frozen=True, slots=True)
class Change:
    """One repaired position: index into the vector, old and new allele, the rule that was broken."""

    position: int
    old: int
    new: int
    rule: str


def repair(space: Alphabet, genome: Genome, rng: np.random.Generator) -> tuple[Genome, list[Change]]:
    """Re-samples every invalid position uniformly over what is valid there.

    Goes through the genome's own classes first, if the space wants some, and then through the LIVs in
    order of depth, so a repaired LIV is valid given those before it and later LIVs are judged against
    repaired ones. Total (every genome becomes valid) and idempotent (a valid genome is returned unchanged
    and draws nothing from ``rng``). A sharing group that cannot be joined is re-sampled first; if no group
    fits, the strategy is.

    Returns:
        The valid genome and what was changed, in order of position.

    Raises:
        GenomeError: The genome brings another number of classes than the space wants.
    """
    if len(genome.table) != space.own_classes:
        raise next(problems(space, genome))
    mended = [repaired_class(space.layout.genes, entry, rng) for entry in genome.table]
    drawn = Drawing(space, tuple(entry for entry, _ in mended))
    changes = {
        (position := space.layout.class_start(number) + offset): Change(position, old, new, rule)
        for number, (_, changed) in enumerate(mended)
        for offset, old, new, rule in changed
    }
    alphabet = drawn.alphabet
    for index, liv in enumerate(genome.livs):
        while problem := next(drawn.problems(index, liv), None):
            gene, error = problem
            choices = alphabet.alleles(liv.liv_class, gene) if gene < 3 else ()
            if gene == 3:
                in_range = liv.feature_group in alphabet.alleles(liv.liv_class, 3)
                known = liv.feature_strategy in alphabet.alleles(liv.liv_class, 4)
                choices = drawn.groups(liv) if known else ()
                choices = choices if choices or in_range else alphabet.alleles(liv.liv_class, 3)
            if not choices:
                gene, choices = 4, drawn.strategies(liv.liv_class, liv.feature_group)
            genes = list(liv)
            new = choices[int(rng.integers(len(choices)))]
            position = index * GENES_PER_LIV + gene
            first = changes.get(position, Change(position, genes[gene], new, error.rule))
            changes[position] = Change(position, first.old, new, first.rule)
            genes[gene] = new
            liv = LIV(*genes)
        drawn.append(liv)
    return drawn.genome(), [changes[position] for position in sorted(changes)]


def repaired_class(
    genes: ClassGenes, entry: LIVClass, rng: np.random.Generator
) -> tuple[LIVClass, list[tuple[int, int, int, str]]]:
    """A class with each invalid integer re-sampled over what is valid after those before it.

    Returns:
        The valid class; offset, old and new integer and the broken rule of each change.
    """
    if not faults(genes, entry):
        return entry, []
    alleles, changes = alleles_of(genes, entry), list[tuple[int, int, int, str]]()

    def choose(drawn: ClassDrawing, offset: int, valid: tuple[int, ...]) -> int:
        old = alleles[offset]
        if old in valid:
            return old
        new = valid[int(rng.integers(len(valid)))]
        changes.append((offset, old, new, drawn.fault(old, valid).rule))
        return new

    return class_of(genes, compose(genes, choose)), changes
