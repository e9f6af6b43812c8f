"""A genome at another depth: the rule by which what was found small is built large.

``repeat`` stacks the whole backbone again and again, as the paper goes from 24 to 48 LIVs; ``stretch``
repeats every LIV in its place, which keeps early ones early. Copies share among themselves what the
originals share, and nothing across copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from star_core.errors import GenomeError, nearest
from star_core.genome.backbone import LIV, Genome
from star_core.genome.canonical import canonical
from star_core.genome.sharing import NOTHING_SHARED
from star_core.vocabulary.tables import MAX_DEPTH, MAX_GROUPS

Place = tuple[int, int]
"""Which LIV of the original, and which copy of it."""


def _repeated(depth: int, target: int) -> list[Place]:
    return [(index % depth, index // depth) for index in range(target)]


def _stretched(depth: int, target: int) -> list[Place]:
    sources = [index * depth // target for index in range(target)]
    return [(source, index - sources.index(source)) for index, source in enumerate(sources)]


RULES: Mapping[str, Callable[[int, int], list[Place]]] = {"repeat": _repeated, "stretch": _stretched}


def at_depth(genome: Genome, depth: int, rule: str = "repeat") -> Genome:
    """The genome with ``depth`` LIVs.

    Args:
        genome: A valid genome, of d LIVs.
        depth: Its new depth D ≥ d.
        rule: ``repeat``: LIV i of the result is LIV i mod d; ``stretch``: LIV ⌊i d / D⌋.

    Raises:
        GenomeError: No such rule, a depth below the genome's or beyond ``MAX_DEPTH``, or more sharing
            groups than a genome can name.
    """
    if rule not in RULES:
        raise GenomeError("no such rule of scaling", value=rule, place="scaling", fix=nearest(rule, RULES))
    if not genome.depth <= depth <= MAX_DEPTH:
        raise GenomeError(
            f"a genome of {genome.depth} LIVs is scaled to {genome.depth} to {MAX_DEPTH} of them",
            value=depth,
            place="depth",
            fix=f"use {min(2 * genome.depth, MAX_DEPTH)}",
        )
    original = canonical(genome)
    weights: dict[tuple[int, int, int], int] = {}
    features: dict[tuple[int, int], int] = {}
    livs = []
    for source, copy in RULES[rule](genome.depth, depth):
        liv = original.livs[source]
        featurizer, feature = liv.featurizer_group, liv.feature_group
        if liv.featurizer_strategy != NOTHING_SHARED:
            of_class = sum(1 for liv_class, _, _ in weights if liv_class == liv.liv_class)
            featurizer = weights.setdefault((liv.liv_class, featurizer, copy), of_class + 1)
        if liv.feature_strategy != NOTHING_SHARED:
            feature = features.setdefault((feature, copy), len(features) + 1)
        if max(featurizer, feature) > MAX_GROUPS:
            raise GenomeError(
                f"copies of its sharing groups are more than {MAX_GROUPS}",
                value=max(featurizer, feature),
                place=f"depth {depth}",
                fix="use a smaller depth",
            )
        livs.append(LIV(liv.liv_class, featurizer, liv.featurizer_strategy, feature, liv.feature_strategy))
    return canonical(Genome(tuple(livs), original.table))
