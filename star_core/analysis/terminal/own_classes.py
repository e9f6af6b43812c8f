"""Classes that genomes bring along, for people: the layout of their text, and single ones in words."""

from __future__ import annotations

from collections.abc import Iterator

from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.genome.backbone import Genome
from star_core.genome.class_alleles import REPEATS, structure_alleles, valid_classes
from star_core.genome.class_genome import PAPER_GENES, class_text
from star_core.genome.class_names import is_named
from star_core.structures.feature_groups import Kind, Role
from star_core.structures.registered import roles_of, structure_of, structures
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import (
    FILTERED,
    GENES_PER_LIV,
    MAX_OWN_CLASSES,
    Nonlinearity,
    Sparsity,
    write_allele,
)


def layout_tables() -> Iterator[TerminalTable]:
    """How a genome of the preset ``full`` is written, and which classes it may bring."""
    known = structures()
    roles = " ".join(role.letter for role in roles_of(structure.allele for structure in known))
    yield TerminalTable(
        f"Own classes (preset full): up to {MAX_OWN_CLASSES} after the LIVs",
        (
            Column("part"),
            Column("e.g.", "example"),
            Column("integers"),
            Column("meaning", prose=True),
        ),
        (
            (
                "LIV",
                "41112",
                GENES_PER_LIV,
                "class k: the k-th own class; K + k (of K): its differential variant",
            ),
            (
                "class",
                "_12123",
                PAPER_GENES.size,
                "an operator genome; digit 1: the featurizer class it names",
            ),
            (
                "groups",
                "_02123-114211-…",
                "",
                f"digit 1 is 0: no class makes its feature groups; they follow, by role ({roles})",
            ),
        ),
        "own_classes",
        note="e.g. 11211-41112_12123_73111_02123-114211-114211-111214_91142",
    )
    rows = []
    for structure in known:
        counts = [count for _, count in valid_classes([structure.allele])]
        genes = [structure_alleles(structure.allele, offset) for offset in (1, 2, 3)]
        factors = {role: list(map(write_allele, values)) for role, values in structure.expansions.items()}
        rows.append((structure.name, *genes, factors, len(counts), sum(counts)))
    columns = (
        Column("token mixing"),
        *(
            Column(name, shown=lambda alleles: " ".join(map(str, alleles)), gives_way=2)
            for name in ("sparsity", "nonlinearity", "channel mixing")
        ),
        Column(
            "expansion",
            shown=lambda factors: "  ".join(f"{role}: {' '.join(each)}" for role, each in factors.items()),
            gives_way=1,
            below=True,
        ),
        Column("operators", shown="{:,}".format, right=True),
        Column("classes", shown="{:,}".format, right=True),
    )
    repeats = " ".join(map(str, REPEATS))
    title = f"Own classes by structure (repeat factors {repeats})"
    yield TerminalTable(title, columns, rows, "own_structures")


def own_classes_table(genome: Genome) -> TerminalTable:
    """The classes a genome brings: digits, name, use, and what they are in words."""
    size, rows = len(genome.table), []
    for number, entry in enumerate(genome.table, 1):
        used = [
            f"{index}{' (differential)' if liv.liv_class > size else ''}"
            for index, liv in enumerate(genome.livs, 1)
            if (liv.liv_class - 1) % size == number - 1
        ]
        alleles = (write_allele(number), write_allele(number + size))
        name = entry.name if is_named(entry) else f"{entry.name} (invented)"
        rows.append((alleles, class_text(entry), name, used, in_words(entry)))
    columns = (
        Column("alleles", shown=", ".join),
        Column("genome", gives_way=3, below=True),
        Column("class", gives_way=1, below=True),
        Column("LIVs", shown=lambda used: ", ".join(used) or "none", prose=True),
        Column("what it is", "meaning", prose=True, gives_way=2, below=True),
    )
    title = "Own classes (the second allele is the differential variant)"
    return TerminalTable(title, columns, rows, "own_classes")


def in_words(entry: LIVClass) -> str:
    """What a class computes, e.g. ``softmax attention by head; C dense; B dense, one for 4; …``."""
    structure = structure_of(entry.operator.token_mixing)
    groups = zip(structure.features, entry.featurizer.groups, strict=True)
    features = (f"{role.letter} {_group(role, group, structure.expanded)}" for role, group in groups)
    return "; ".join((structure.words(entry.operator), *features))


def _group(role: Role, group: FeatureGroupGenome, expanded: str) -> str:
    if role.kind is Kind.FILTER:
        explicit = group.sparsity is Sparsity.BANDED
        return f"{group.expansion} taps" if explicit else f"{group.expansion} modes"
    words = [group.channel_mixing.words]
    words += [expanded.format(group.expansion)] if group.expansion != 1 else []
    words += ["short filter"] if group.token_mixing == FILTERED else []
    words += [group.nonlinearity.words] if group.nonlinearity is not Nonlinearity.NONE else []
    words += [f"one for {group.repeat}"] if group.repeat != 1 else []
    return ", ".join(words)
