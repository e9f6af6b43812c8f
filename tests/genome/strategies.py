"""Hypothesis strategies for genomes."""

from __future__ import annotations

from hypothesis import strategies as st

from star_core.genome import LIV, Genome
from star_core.vocabulary.tables import BACKBONE_GENES

any_liv = st.builds(LIV, *(st.integers(gene.low, gene.high) for gene in BACKBONE_GENES))
"""LIVs whose integers are in the format's range, valid in a search space or not."""

any_genome = st.builds(lambda livs: Genome(tuple(livs)), st.lists(any_liv, min_size=1, max_size=24))

seeds = st.integers(0, 2**32 - 1)
