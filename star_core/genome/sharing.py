"""Who shares what: the sharing genes of a backbone resolved to the layer that owns each part.

Feature-group sharing (genes 4 and 5): all LIVs with one index and a strategy other than 1 form a
group; its earliest member, the *owner*, computes all its feature groups, and every later member
reuses from the owner those its own strategy names. Featurizer sharing (genes 2 and 3): LIVs of one
class with one index and strategy 2 use one set of featurizer weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from star_core.genome.backbone import LIV, Genome
from star_core.structures.feature_groups import Kind
from star_core.structures.registered import structure_of
from star_core.vocabulary.operator import LIVClass

NOTHING_SHARED = 1

Classes = Mapping[int, LIVClass]


def shared_roles(liv: LIV, classes: Classes) -> tuple[str, ...]:
    """Feature groups the LIV's strategy names; empty for strategy 1."""
    structure = structure_of(classes[liv.liv_class].operator.token_mixing)
    return structure.strategies[liv.feature_strategy].roles


def can_reuse(owner: LIVClass, follower: LIVClass, roles: tuple[str, ...]) -> bool:
    """Whether the features ``roles`` computed by ``owner`` fit ``follower``.

    Both must be the same operator (featurizers may differ), differential or not alike, and the
    reused groups must have one expansion and repeat factor; filters must be made the same way.
    """
    if str(owner.operator)[1:] != str(follower.operator)[1:] or owner.differential != follower.differential:
        return False
    if owner.featurizer == follower.featurizer:
        return True
    known = structure_of(owner.operator.token_mixing).role
    ours = dict(zip(follower.featurizer.roles, follower.featurizer.groups, strict=True))
    theirs = dict(zip(owner.featurizer.roles, owner.featurizer.groups, strict=True))
    for role in roles:
        a, b = ours[role], theirs[role]
        if (a.expansion, a.repeat) != (b.expansion, b.repeat) or (known[role].kind is Kind.FILTER and a != b):
            return False
    return True


def feature_owners(genome: Genome) -> list[int | None]:
    """Per layer the owner of its feature-sharing group; ``None`` where it takes part in none."""
    earliest: dict[int, int] = {}
    owners: list[int | None] = []
    for index, liv in enumerate(genome.livs):
        if liv.feature_strategy == NOTHING_SHARED:
            owners.append(None)
        else:
            owners.append(earliest.setdefault(liv.feature_group, index))
    return owners


def resolve_feature_sharing(genome: Genome, classes: Classes) -> list[dict[str, int]]:
    """Per layer: role → earlier layer whose computed features it reuses."""
    resolved: list[dict[str, int]] = []
    for index, (liv, owner) in enumerate(zip(genome.livs, feature_owners(genome), strict=True)):
        reuses = owner is not None and owner != index
        resolved.append(dict.fromkeys(shared_roles(liv, classes), owner) if reuses else {})  # type: ignore[arg-type]
    return resolved


def resolve_featurizer_sharing(
    genome: Genome, classes: Classes, reused: list[dict[str, int]]
) -> list[dict[str, int]]:
    """Per layer: role → earliest layer of its featurizer-sharing group that computes this role.

    Resolved role by role, so that a member that reuses computed features (and so has no weights for
    them) passes ownership on to the next one that computes them.
    """
    owners: dict[tuple[int, int, str], int] = {}
    resolved: list[dict[str, int]] = []
    for index, liv in enumerate(genome.livs):
        layer: dict[str, int] = {}
        if liv.featurizer_strategy != NOTHING_SHARED:
            for role in classes[liv.liv_class].featurizer.roles:
                if role not in reused[index]:
                    layer[role] = owners.setdefault((liv.liv_class, liv.featurizer_group, role), index)
        resolved.append(layer)
    return resolved
