"""Sharing: fewer parameters, less cache, and the same three forms that agree."""

import dataclasses

import numpy as np
import pytest
import torch

from star_core import build_model
from star_core.structures import structure_of
from tests.livs.layers import NAMED, OTHERS, PLACES
from tests.models.language_models import (
    assert_every_parameter_learns,
    assert_forms_agree,
    assert_sizes_as_predicted,
    compiled,
    double,
    tokens,
)

MIDDLE = "9"
"""Allele of an unrelated class between the two that share, in both spaces."""

STRATEGIES = [
    pytest.param(name, strategy, id=f"{name}-{strategy}")
    for name, (space, allele) in PLACES.items()
    for strategy in structure_of(space.classes[int(allele, 36)].operator.token_mixing).strategies
    if strategy != 1
]


def counted(arch):
    model = build_model(arch)
    return sum(p.numel() for p in model.parameters()), model.init_cache(1, 64).num_bytes


@pytest.mark.parametrize(("name", "strategy"), STRATEGIES)
def test_a_feature_sharing_strategy_saves_what_its_table_says(name, strategy, generator):
    space, allele = PLACES[name]
    apart = compiled(f"{allele}1111-{MIDDLE}1111-{allele}1111", space)
    together = compiled(f"{allele}1112-{MIDDLE}1111-{allele}111{strategy}", space)
    parameters, cache = counted(together)
    parameters_apart, cache_apart = counted(apart)
    assert parameters < parameters_apart
    dropped = len(apart.layers[-1].states) - len(together.layers[-1].states)
    assert (cache < cache_apart) == (dropped > 0)
    assert_sizes_as_predicted(build_model(together))
    assert_every_parameter_learns(build_model(together), tokens(generator))
    assert_forms_agree(double(together), tokens(generator))


@pytest.mark.parametrize("name", PLACES)
def test_featurizer_sharing_saves_parameters_and_keeps_the_cache(name, generator):
    space, allele = PLACES[name]
    apart, together = (compiled("-".join([f"{allele}1{strategy}11"] * 3), space) for strategy in (1, 2))
    parameters, cache = counted(together)
    assert parameters < counted(apart)[0]
    assert cache == counted(apart)[1]
    model = build_model(together)
    assert len(model.state_dict()) == len(list(model.parameters()))
    assert_every_parameter_learns(model, tokens(generator))
    assert_forms_agree(double(together), tokens(generator))


def test_the_fully_shared_attention_layer_holds_no_cache():
    model = build_model(compiled("11112-11112-11112", NAMED))
    assert {key.layer for key in model.init_cache().tensors} == {0}


def test_weights_pass_to_the_next_member_that_computes_the_features(generator):
    # LIV 2 reuses keys and values of LIV 1, so LIV 3 shares those weights with LIV 1, not with LIV 2.
    arch = compiled("11212-11212-11211", NAMED)
    assert_every_parameter_learns(build_model(arch), tokens(generator))
    assert_forms_agree(double(arch), tokens(generator))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("space", [NAMED, OTHERS], ids=lambda space: space.name)
def test_random_genomes(space, seed, generator):
    genome = space.sample(np.random.default_rng(seed))
    arch = compiled(genome, space, head_dim=4)
    model = build_model(arch)
    assert_sizes_as_predicted(model)
    assert_every_parameter_learns(model, tokens(generator))
    splits = {"mixed": [0, 17, 0, 0, 2, 14, 1]}
    assert_forms_agree(double(arch), tokens(generator), splits)
    tokens_BL = tokens(generator)
    other_BL = torch.cat([tokens_BL[:, :20], tokens(generator)[:, 20:]], 1)
    model = double(arch)
    with torch.no_grad():
        before, after = model(tokens_BL)[:, :20], model(other_BL)[:, :20]
    torch.testing.assert_close(after, before, rtol=1e-10, atol=1e-10)


def test_a_deep_random_genome_trains(generator):
    space = dataclasses.replace(NAMED, depth=24)
    arch = compiled(space.sample(np.random.default_rng(0)), space, width=32)
    model = build_model(arch)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    tokens_BL = tokens(generator, batch=4, length=33)
    losses = []
    for _ in range(12):
        logits = model(tokens_BL[:, :-1]).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, tokens_BL[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(np.isfinite(losses))
    assert losses[-1] < losses[0]
