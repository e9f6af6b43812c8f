import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core import Genome, SearchSpace, compile_genome
from star_core.compiler import default_head_dim
from star_core.errors import ConfigError, GenomeError
from tests.genome.strategies import any_genome

NAMED = SearchSpace.preset("paper")


def compiled(text, width=64):
    return compile_genome(Genome.parse(text), NAMED, width)


def test_the_example_of_the_paper_shares_weights_of_1_with_3_and_features_of_2_with_4():
    first, second, third, fourth = compiled("21211-31112-21221-32112").layers
    # The example as printed: LIVs 1 and 3 are of one class, but only strategy 2 shares.
    assert all(group.weights_of == first.index for group in first.groups)
    assert {g.role: g.computed_by for g in fourth.groups} == {"C": 3, "B": 1, "V": 1}
    assert all(group.computed_by == second.index for group in second.groups)
    assert {g.weights_of for g in third.groups} == {0}


def test_a_transformer_layer_has_the_parameters_counted_by_hand():
    # SA-1 at width 64: four 64×64 projections and a norm; GMemless: two 192×64, one 64×192, a norm.
    architecture = compiled("11111-91111")
    embedding, final_norm = 256 * 64, 64
    assert architecture.layers[0].num_parameters == 4 * 64 * 64 + 64
    assert architecture.layers[1].num_parameters == 3 * 3 * 64 * 64 + 64
    assert architecture.num_parameters == embedding + final_norm + 4 * 4096 + 64 + 9 * 4096 + 64


def test_cache_bytes_by_hand():
    # SA-1: keys and values, 2 × 64 floats a token. SA-3: a quarter. GConv-1: two inputs. GMemless: none.
    assert compiled("11111").cache_bytes(100) == 100 * 128 * 4
    assert compiled("31111").cache_bytes(100, batch=3) == 3 * 100 * 32 * 4
    assert compiled("71111").cache_bytes(100) == compiled("71111").cache_bytes(10**6) == 2 * 64 * 4
    assert compiled("91111").cache_bytes(100) == 0
    # Rec-1: 4 heads of 16 × 16, and windows of 3 for C and B (4 × 16 channels) and V (64).
    assert compiled("51111").cache_bytes(100) == (4 * 16 * 16 + 3 * (64 + 64 + 64)) * 4
    assert compiled("a1111").cache_bytes(100) == 2 * compiled("11111").cache_bytes(100)
    deployed = {
        text: compiled(text).cache_bytes(100, feature_bytes=2) for text in ("11111", "51111", "71111")
    }
    assert deployed["11111"] == 100 * 128 * 2
    assert deployed["51111"] == 4 * 16 * 16 * 4 + 3 * (64 + 64 + 64) * 2, "a sum over tokens stays in float32"
    assert deployed["71111"] == 2 * 64 * 2


@pytest.mark.parametrize(
    ("shared", "share"), [("11112-11112", 1 / 2), ("11112-11113", 3 / 4), ("11112-11114", 3 / 4)]
)
def test_sharing_keys_and_values_shrinks_the_cache(shared, share):
    assert compiled(shared).cache_bytes(64) == share * compiled("11111-11111").cache_bytes(64)


def test_flops_of_attention_grow_with_context_and_of_a_recurrence_do_not():
    attention, recurrence = compiled("11111"), compiled("51111")
    assert attention.flops_per_token(2000) - attention.flops_per_token(1000) == 2 * 1000 * 128
    assert recurrence.flops_per_token(2000) == recurrence.flops_per_token(1000)


def test_a_featurizer_whose_owner_reuses_features_passes_its_weights_on():
    # LIV 2 reuses the keys and values of LIV 1, so LIV 3, which shares featurizer weights with LIV 2
    # but computes all groups itself, owns the weights for them.
    layers = compiled("11112-12212-12211").layers
    assert {g.role: g.weights_of for g in layers[1].groups} == {"C": 1, "B": None, "V": None}
    assert {g.role: g.weights_of for g in layers[2].groups} == {"C": 1, "B": 2, "V": 2}


@given(any_genome, st.sampled_from([8, 64, 96, 768]))
def test_any_genome_compiles_or_is_a_genome_error(genome, width):
    try:
        architecture = compile_genome(genome, NAMED, width)
    except GenomeError:
        assert not NAMED.is_valid(genome)
    else:
        assert architecture.num_parameters > 0
        for layer in architecture.layers:
            for group in layer.groups:
                assert group.computed_by <= layer.index
                owner = architecture.layers[group.computed_by]
                assert next(g for g in owner.groups if g.role == group.role).computed_by == owner.index
                if group.weights_of is not None:
                    theirs = next(
                        g for g in architecture.layers[group.weights_of].groups if g.role == group.role
                    )
                    assert theirs.weights_of == group.weights_of
                    assert theirs.weights == group.weights


def test_the_digest_separates_sizes_and_ignores_names():
    base = compiled("11111-11111")
    assert compiled("11211-11211").digest != base.digest
    assert compiled("12211-12211").digest == compiled("11211-11211").digest
    assert compiled("12211-13211").digest == base.digest
    assert compiled("11111-11111", 128).digest != base.digest
    assert dataclasses.replace(base, vocab_size=512).digest != base.digest


@pytest.mark.parametrize(("width", "head_dim"), [(8, 2), (64, 16), (96, 8), (128, 32), (256, 64), (768, 64)])
def test_default_head_size(width, head_dim):
    assert default_head_dim(width) == head_dim


@pytest.mark.parametrize(("width", "head_dim"), [(100, None), (0, None), (64, 7), (64, 48), (64, 1)])
def test_sizes_that_do_not_split_are_refused_with_one_that_does(width, head_dim):
    with pytest.raises(ConfigError, match="Fix: use"):
        compile_genome(Genome.parse("11111"), NAMED, width, head_dim)


def test_grouped_queries_that_do_not_fit_the_heads_are_refused():
    with pytest.raises(GenomeError, match="the repeat factor divides the number of heads"):
        compile_genome(Genome.parse("31111"), NAMED, 64, head_dim=32)
