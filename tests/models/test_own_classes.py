"""Genomes that bring their own classes build, train and decode like any other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from star_core import SearchSpace, build_model
from star_core.genome import Genome
from star_core.genome.class_genome import PAPER_GENES, class_text
from star_core.genome.founding import sampled_class
from tests.genome.own_classes import any_vector
from tests.genome.strategies import seeds
from tests.models.language_models import (
    assert_every_parameter_learns,
    assert_forms_agree,
    assert_sizes_as_predicted,
    compiled,
    double,
    losses_of_training,
    tokens,
)

SPACE = SearchSpace.preset("full", depth=4, classes=4)


@settings(max_examples=10)
@given(seeds)
def test_whatever_was_repaired_is_built_on_meta_and_has_the_predicted_size(seed):
    rng = np.random.default_rng(seed)
    genome, _ = SPACE.repair(SPACE.layout.decode(any_vector(SPACE, rng)), rng)
    model = build_model(compiled(genome, SPACE), device="meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == model.arch.num_parameters
    assert model(torch.zeros(1, 20, dtype=torch.long, device="meta")).shape == (1, 20, 50)


@pytest.mark.parametrize("seed", range(12))
def test_invented_classes_learn_in_every_parameter_and_lower_the_loss(seed, generator):
    rng = np.random.default_rng(seed)
    space = SearchSpace.preset("full", depth=3, classes=3, novelty=1.0)
    model = build_model(compiled(space.sample(rng), space, width=16))
    tokens_BL = tokens(generator, batch=4, length=20)
    assert_sizes_as_predicted(model)
    assert_every_parameter_learns(model, tokens_BL)
    losses = losses_of_training(model, tokens_BL, 6, 1e-2)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("seed", range(8))
def test_all_forms_of_an_invented_class_agree(seed, generator):
    entry = sampled_class(PAPER_GENES, np.random.default_rng(100 + seed))
    genome = Genome.parse(f"{'12'[seed % 2]}1111_{class_text(entry)}")
    arch = compiled(genome, SPACE, width=16, head_dim=4)
    assert_forms_agree(double(arch), tokens(generator, length=14), {"mixed": [0, 9, 0, 3]})
