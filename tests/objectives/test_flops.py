"""FLOPs from the spec: against a sum over tokens, and against what torch counts."""

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from star_core import Genome, SearchSpace, build_model, compile_genome
from star_core.config import Objectives
from star_core.genome.space import reading_space
from star_core.objectives.base import measure
from star_core.objectives.flops import prefill_flops
from star_core.structures import Kind, class_table, structure_of
from star_core.structures.feature_groups import SHORT_FILTER
from star_core.structures.low_rank import LOW_RANK
from star_core.structures.semi_separable import SEMI_SEPARABLE
from star_core.structures.toeplitz import TOEPLITZ
from star_core.vocabulary.tables import FILTERED, ChannelMixing, Nonlinearity, Sparsity, write_allele

SPACE = reading_space()
CLASSES = {entry.name: write_allele(index) for index, entry in class_table().items()}
CONTEXT = 100


def of_class(name, depth=1):
    genome = Genome.parse("-".join([f"{CLASSES[name]}1111"] * depth))
    return compile_genome(genome, SPACE, 64)


def counted(work):
    """FLOPs of matrix products and convolutions, which is all that torch counts."""
    # The fused kernel is not counted; without it, attention is two matrix products.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def elementwise(layer, dims):
    """FLOPs of one decoded token that are no matrix product: gates, short filters, updates of a state."""
    operator = layer.liv_class.operator
    groups = {group.role: group.genome for group in layer.groups}
    shapes = {group.role: group.shape for group in layer.groups}
    mixing = structure_of(operator.token_mixing).mixing_flops(operator, groups, shapes, dims, CONTEXT)
    filters = sum(
        2 * group.shape.size * SHORT_FILTER
        for group in layer.groups
        if group.kind is not Kind.FILTER and group.genome.token_mixing == FILTERED
    )
    if operator.token_mixing == LOW_RANK.allele:
        recurrent = operator.nonlinearity is Nonlinearity.NONE and operator.sparsity is Sparsity.NONE
        mixing = mixing // 2 if recurrent else 0
    elif operator.token_mixing == SEMI_SEPARABLE.allele:
        mixing = mixing * 3 // 5
    elif operator.token_mixing == TOEPLITZ.allele:
        # Taps that mix channels are a product; the gates are not.
        mixing = mixing if operator.channel_mixing is ChannelMixing.DIAGONAL else 2 * dims.width
    return layer.branches * (filters + mixing)


@pytest.mark.parametrize("name", CLASSES)
def test_a_decoded_token_costs_what_is_counted(name):
    arch = of_class(name)
    model = build_model(arch)
    cache = model.init_cache(1, CONTEXT)
    model.prefill(torch.zeros(1, CONTEXT - 1, dtype=torch.int64), cache)
    found = counted(lambda: model.step(torch.tensor([1]), cache))
    assert found == arch.flops_per_token(CONTEXT) - elementwise(arch.layers[0], arch.dims)


@pytest.mark.parametrize("name", ["SA-1", "SA-2", "SA-3", "SA-4", "SA-1-Diff"])
def test_a_read_prompt_costs_half_of_the_square_that_is_counted(name):
    """Unfused attention multiplies all of T; the spec knows that half of it is zero."""
    arch = of_class(name)
    model = build_model(arch)
    found = counted(lambda: model(torch.zeros(1, CONTEXT, dtype=torch.int64))) / CONTEXT
    assert found == arch.flops_per_token(CONTEXT)
    without = arch.flops_per_token(0)
    half = (found - without) * (CONTEXT + 1) / (2 * CONTEXT)
    assert prefill_flops(arch, CONTEXT) == pytest.approx(without + half)


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 200])
def test_a_prompt_costs_the_mean_of_its_tokens(length):
    rng = np.random.default_rng(0)
    for _ in range(10):
        arch = compile_genome(SearchSpace.preset("extended", depth=12).sample(rng), SPACE, 64)
        mean = sum(arch.flops_per_token(read) for read in range(1, length + 1)) / length
        assert prefill_flops(arch, length) == pytest.approx(mean)


def test_objectives_are_taken_at_the_lengths_of_the_parameters():
    section = Objectives(names=["prefill_flops", "decode_flops"], prompt_length=10, cache_length=300)
    arch = of_class("SA-1", 2)
    values, _, _ = measure(arch, None, section)
    assert values == {
        "prefill_flops": prefill_flops(arch, 10),
        "decode_flops": arch.flops_per_token(300),
    }
    assert values["decode_flops"] > values["prefill_flops"]
