"""Validity: every position of a genome that breaks a rule of its search space."""

from __future__ import annotations

from collections.abc import Iterator

from star_core.errors import GenomeError
from star_core.genome.alphabet import OWN_CLASSES, Alphabet
from star_core.genome.backbone import Genome
from star_core.genome.drawing import Drawing
from star_core.genome.lower_levels import faults
from star_core.vocabulary.tables import write_allele


def problems(space: Alphabet, genome: Genome) -> Iterator[GenomeError]:
    """Every invalid position: of the genome's own classes, then from the first LIV to the last."""
    if len(genome.table) != space.own_classes:
        wanted = f"{space.own_classes} classes of its own" if space.own_classes else "no classes of its own"
        yield GenomeError(
            f"a genome of the space {space.name!r} brings {wanted}",
            value=len(genome.table),
            place="genome",
            fix=f"set space.preset to {OWN_CLASSES}, with space.classes: {len(genome.table)}"
            if genome.table
            else "write them after the LIVs, each after a '_', e.g. _12123",
        )
    for number, entry in enumerate(genome.table if space.own_classes else ()):
        for fault in faults(space.layout.genes, entry):
            position = space.layout.class_start(number) + fault.offset
            yield GenomeError(
                fault.rule,
                value=write_allele(fault.allele),
                place=space.layout.place(position),
                fix=fault.fix,
                position=position,
            )
    yield from backbone_problems(space.reading(genome), genome)


def backbone_problems(alphabet: Alphabet, genome: Genome) -> Iterator[GenomeError]:
    """Every invalid position of the backbone, its classes being those of this space."""
    drawn = Drawing(alphabet)
    for index, liv in enumerate(genome.livs):
        found = [problem for _, problem in drawn.problems(index, liv)]
        yield from found
        drawn.append(liv, valid=not found)
