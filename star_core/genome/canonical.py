"""The canonical form: one genome for all that differ only in the names of sharing groups and own classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from star_core.genome.backbone import LIV, Genome
from star_core.genome.sharing import NOTHING_SHARED, feature_owners


def canonical(genome: Genome) -> Genome:
    """Renames sharing groups in order of first appearance and drops sharing with nobody.

    Compiles to the same architecture. Groups are numbered from 1; a LIV that shares nothing gets
    group 1, strategy 1; the owner of a feature-sharing group, whose own strategy has no effect,
    gets strategy 2. Classes that the genome brings are numbered alike, and those that no LIV uses are
    dropped. Idempotent.
    """
    genome = _with_used_classes(genome)
    weights = Counter(_weight_key(liv) for liv in genome.livs)
    owners = feature_owners(genome)
    members = Counter(owner for owner in owners if owner is not None)
    weight_names: dict[tuple[int, int], int] = {}
    feature_names: dict[int, int] = {}
    livs = []
    for index, (liv, owner) in enumerate(zip(genome.livs, owners, strict=True)):
        key, featurizer = _weight_key(liv), (1, NOTHING_SHARED)
        if key is not None and weights[key] > 1:
            of_class = sum(1 for liv_class, _ in weight_names if liv_class == key[0])
            featurizer = (weight_names.setdefault(key, of_class + 1), liv.featurizer_strategy)
        feature = (1, NOTHING_SHARED)
        if owner is not None and members[owner] > 1:
            name = feature_names.setdefault(owner, len(feature_names) + 1)
            feature = (name, 2 if owner == index else liv.feature_strategy)
        livs.append(LIV(liv.liv_class, *featurizer, *feature))
    return Genome(tuple(livs), genome.table)


def _weight_key(liv: LIV) -> tuple[int, int] | None:
    if liv.featurizer_strategy == NOTHING_SHARED:
        return None
    return (liv.liv_class, liv.featurizer_group)


def _with_used_classes(genome: Genome) -> Genome:
    """The genome with the classes it uses, in order of first appearance.

    Equal classes stay apart: LIVs of one share featurizer weights, LIVs of two do not.
    """
    if not genome.table:
        return genome
    size = len(genome.table)
    used = list(dict.fromkeys((liv.liv_class - 1) % size for liv in genome.livs))
    livs = (
        replace(
            liv,
            liv_class=used.index((liv.liv_class - 1) % size) + 1 + len(used) * (liv.liv_class > size),
        )
        for liv in genome.livs
    )
    return Genome(tuple(livs), tuple(genome.table[place] for place in used))
