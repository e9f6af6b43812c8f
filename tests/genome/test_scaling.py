"""A genome at another depth: what repeats, what is shared, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core import Genome, SearchSpace, compile_genome
from star_core.errors import GenomeError
from star_core.genome.scaling import at_depth
from star_core.vocabulary.tables import MAX_GROUPS

WIDE = SearchSpace.preset("extended", groups=MAX_GROUPS)


def test_repeating_stacks_the_backbone_and_stretching_keeps_the_order():
    genome = Genome.parse("11111-91111-71111")
    assert str(at_depth(genome, 6)) == "11111-91111-71111-11111-91111-71111"
    assert str(at_depth(genome, 6, "stretch")) == "11111-11111-91111-91111-71111-71111"
    assert str(at_depth(genome, 4)) == "11111-91111-71111-11111"


def test_copies_share_among_themselves_what_the_originals_share():
    genome = Genome.parse("31112-91111-31112-91111")
    assert str(at_depth(genome, 8)) == "31112-91111-31112-91111-31122-91111-31122-91111"
    assert str(at_depth(genome, 8, "stretch")) == "31112-31122-91111-91111-31112-31122-91111-91111"


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 3), st.sampled_from(["repeat", "stretch"])
)
def test_a_whole_number_of_copies_multiplies_every_size(seed, depth, copies, rule):
    space = SearchSpace.preset("extended", depth, groups=4)
    genome = space.sample(np.random.default_rng(seed))
    single, many = (compile_genome(g, WIDE, 64) for g in (genome, at_depth(genome, depth * copies, rule)))
    shell = compile_genome(Genome.parse("11111"), WIDE, 64).num_parameters
    shell -= sum(layer.num_parameters for layer in compile_genome(Genome.parse("11111"), WIDE, 64).layers)
    assert many.num_parameters - shell == copies * (single.num_parameters - shell)
    assert many.cache_bytes(512) == copies * single.cache_bytes(512)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(0, 7))
def test_any_depth_is_valid_and_the_same_depth_the_same_architecture(seed, depth, more):
    genome = SearchSpace.preset("paper", depth).sample(np.random.default_rng(seed))
    same = at_depth(genome, depth)
    assert compile_genome(same, WIDE, 64).digest == compile_genome(genome, WIDE, 64).digest
    for rule in ("repeat", "stretch"):
        compile_genome(at_depth(genome, depth + more, rule), WIDE, 64)


@pytest.mark.parametrize(
    ("depth", "rule", "message"),
    [(1, "repeat", "2 to"), (9999, "repeat", "2 to"), (4, "repaet", "did you mean 'repeat'")],
)
def test_what_cannot_be_scaled_is_explained(depth, rule, message):
    with pytest.raises(GenomeError, match=message):
        at_depth(Genome.parse("11111-91111"), depth, rule)
