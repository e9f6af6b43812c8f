"""Hypothesis strategies for genomes that bring their own classes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from star_core.genome import LIV, Genome
from star_core.genome.class_genome import PAPER_GENES, class_of
from star_core.vocabulary.tables import BACKBONE_GENES

any_class = st.tuples(*(st.integers(gene.low, gene.high) for _, gene in PAPER_GENES.genes)).map(
    lambda alleles: class_of(PAPER_GENES, alleles)
)
"""Classes whose integers are in the format's range, valid or not."""


@st.composite
def any_own_genome(draw, classes=None, depth=None):
    """Genomes whose integers are in range, valid or not."""
    table = tuple(draw(any_class) for _ in range(classes or draw(st.integers(1, 4))))
    highs = [2 * len(table), *(gene.high for gene in BACKBONE_GENES[1:])]
    livs = st.builds(LIV, *(st.integers(1, high) for high in highs))
    size = {"min_size": depth or 1, "max_size": depth or 8}
    return Genome(tuple(draw(st.lists(livs, **size))), table)


def any_vector(space, rng):
    """A vector of the space with every integer anywhere in the format's range, valid or not."""
    backbone = [2 * space.own_classes, *(gene.high for gene in BACKBONE_GENES[1:])]
    livs = [int(rng.integers(1, high + 1)) for _ in range(space.depth) for high in backbone]
    table = [
        int(rng.integers(gene.low, gene.high + 1))
        for _ in range(space.own_classes)
        for _, gene in space.layout.genes.genes
    ]
    return np.array(livs + table)
