"""The canonical form: one genome for all that differ only in the names of their sharing groups."""

from __future__ import annotations

from collections import Counter

from star_core.genome.backbone import LIV, Genome
from star_core.genome.sharing import NOTHING_SHARED, feature_owners


def canonical(genome: Genome) -> Genome:
    """Renames sharing groups in order of first appearance and drops sharing with nobody.

    Compiles to the same architecture. Groups are numbered from 1; a LIV that shares nothing gets
    group 1, strategy 1; the owner of a feature-sharing group, whose own strategy has no effect,
    gets strategy 2. Idempotent.
    """
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
    return Genome(tuple(livs))


def _weight_key(liv: LIV) -> tuple[int, int] | None:
    if liv.featurizer_strategy == NOTHING_SHARED:
        return None
    return (liv.liv_class, liv.featurizer_group)
