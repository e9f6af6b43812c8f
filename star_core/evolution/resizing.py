"""Mutation of depth: a LIV is inserted or deleted (``space.min_depth``)."""

from __future__ import annotations

import numpy as np

from star_core.genome.layout import Vector
from star_core.genome.space import SearchSpace
from star_core.vocabulary.tables import GENES_PER_LIV


def resize(
    space: SearchSpace, vector: Vector, rate: float, rng: np.random.Generator
) -> tuple[Vector, tuple[int, ...]]:
    """With probability ``rate`` a LIV more or less, as likely as each other where both are within bounds.

    A new one is random, at a random place. What its coming or going does to sharing is for the guard rails.
    Where depth does not vary nothing is drawn.

    Args:
        space: The search space.
        vector: A genome, without empty places between LIVs.
        rate: The probability.
        rng: The random numbers.

    Returns:
        The genome; the positions of the new LIV, or the first position of the one that went.
    """
    layout = space.layout
    if not layout.varies or rng.random() >= rate:
        return vector, ()
    depth = int(layout.present(vector).sum())
    steps = [step for step in (-1, 1) if depth + step in space.depths]
    if not steps:
        return vector, ()
    step = steps[int(rng.integers(len(steps)))]
    vector, first = vector.copy(), int(rng.integers(depth + max(step, 0))) * GENES_PER_LIV
    after = vector[first : layout.backbone].copy()
    if step < 0:
        vector[first : layout.backbone - GENES_PER_LIV] = after[GENES_PER_LIV:]
        vector[layout.backbone - GENES_PER_LIV : layout.backbone] = 0
        return vector, (first,)
    vector[first + GENES_PER_LIV : layout.backbone] = after[:-GENES_PER_LIV]
    new = range(first, first + GENES_PER_LIV)
    vector[first : first + GENES_PER_LIV] = 1  # a class, so that its genes have a meaning
    for position in new:
        alleles = space.choices(vector, position)
        vector[position] = alleles[int(rng.integers(len(alleles)))]
    return vector, tuple(new)
