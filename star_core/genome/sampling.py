"""Sampling: a random valid genome, gene by gene."""

from __future__ import annotations

import numpy as np

from star_core.genome.alphabet import Alphabet
from star_core.genome.backbone import LIV, Genome
from star_core.genome.drawing import Drawing
from star_core.genome.founding import sampled_table


def sample(space: Alphabet, rng: np.random.Generator) -> Genome:
    """A random valid genome: each gene uniform over what is valid after the genes before it.

    Its own classes, where the space wants some, are mostly named ones (see ``founding.py``).
    """
    size, genes = space.own_classes, space.layout.genes
    table = sampled_table(space.named, genes, size, space.novelty, rng) if size else ()
    depth = space.depth if space.min_depth is None else _choose(rng, tuple(space.depths))
    drawn = Drawing(space, table)
    for _ in range(depth):
        liv_class = _choose(rng, drawn.alphabet.alleles(0, 0))
        weights, tied, group = (_choose(rng, drawn.alphabet.alleles(liv_class, gene)) for gene in (1, 2, 3))
        strategy = _choose(rng, drawn.strategies(liv_class, group))
        drawn.append(LIV(liv_class, weights, tied, group, strategy))
    return drawn.genome()


def _choose(rng: np.random.Generator, alleles: tuple[int, ...]) -> int:
    return alleles[int(rng.integers(len(alleles)))]
