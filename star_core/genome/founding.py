"""The class tables that founders start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from star_core.errors import GenomeError
from star_core.genome.backbone import LIV, Genome
from star_core.genome.canonical import canonical
from star_core.genome.class_genome import ClassGenes, class_of
from star_core.genome.class_names import own_class
from star_core.genome.lower_levels import compose
from star_core.structures.registered import class_table
from star_core.vocabulary.operator import LIVClass


def sampled_table(
    named: Sequence[LIVClass], genes: ClassGenes, size: int, novelty: float, rng: np.random.Generator
) -> tuple[LIVClass, ...]:
    """Different named classes at random, each with probability ``novelty`` replaced by any valid class.

    Named ones are known to train. They stand in the order of the class table, so that one place means
    something alike in most founders and crossover does not turn every class gene into another class.
    """
    places = np.sort(rng.permutation(len(named))[:size])
    novel = rng.random(size) < novelty
    return tuple(
        sampled_class(genes, rng) if new else named[place] for place, new in zip(places, novel, strict=True)
    )


def sampled_class(genes: ClassGenes, rng: np.random.Generator) -> LIVClass:
    """Any valid class: each integer uniform over what is valid after those before it."""
    return class_of(genes, compose(genes, lambda _, __, valid: valid[int(rng.integers(len(valid)))]))


def adopted(genome: Genome, size: int, named: Sequence[LIVClass]) -> Genome:
    """The genome with ``size`` classes of its own: those it uses first, then the first named ones it lacks.

    Raises:
        GenomeError: The genome uses more than ``size`` classes.
    """
    if len(genome.table) == size:
        return genome
    genome = canonical(genome if genome.table else _with_table(genome))
    table, brought = list(genome.table), len(genome.table)
    if brought > size:
        raise GenomeError(
            f"a genome brings at most {size} classes of its own here (space.classes)",
            value=brought,
            place="genome",
            fix=f"set space.classes to {brought}",
        )
    table += [entry for entry in named if entry not in table][: size - brought]
    livs = (
        replace(liv, liv_class=liv.liv_class - brought + size) if liv.liv_class > brought else liv
        for liv in genome.livs
    )
    return Genome(tuple(livs), tuple(table))


def _with_table(genome: Genome) -> Genome:
    """A genome of the class table that brings the classes it uses."""
    table = class_table()
    unknown = next((liv.liv_class for liv in genome.livs if liv.liv_class not in table), None)
    if unknown is not None:
        raise GenomeError(
            "not a row of the class table", value=unknown, place="genome", fix=f"use 1 to {len(table)}"
        )
    meant = [table[liv.liv_class] for liv in genome.livs]
    used = list(dict.fromkeys(own_class(entry.operator, entry.featurizer) for entry in meant))
    livs: list[LIV] = []
    for liv, entry in zip(genome.livs, meant, strict=True):
        number = used.index(own_class(entry.operator, entry.featurizer)) + 1
        livs.append(replace(liv, liv_class=number + len(used) * entry.differential))
    return Genome(tuple(livs), tuple(used))
