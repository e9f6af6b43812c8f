"""Sharing: fewer parameters, less cache, and the same three forms that agree."""

import dataclasses
import math

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
    fed,
    losses_of_training,
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


def two_of(name, strategy):
    """Two LIVs of a class around an unrelated one, that share nothing and as the strategy says."""
    space, allele = PLACES[name]
    return (
        compiled(f"{allele}1111-{MIDDLE}1111-{allele}1111", space),
        compiled(f"{allele}1112-{MIDDLE}1111-{allele}111{strategy}", space),
    )


def dropped_states(name, strategy):
    """States that the second LIV has alone but not where it reuses features."""
    apart, together = two_of(name, strategy)
    return [state for state in apart.layers[-1].states if state not in together.layers[-1].states]


def counted(arch):
    model = build_model(arch)
    return sum(p.numel() for p in model.parameters()), model.init_cache(1, 64).num_bytes


def test_every_class_has_a_strategy_to_test():
    assert {strategy.values[0] for strategy in STRATEGIES} == set(PLACES)


@pytest.mark.parametrize(("name", "strategy"), STRATEGIES)
def test_a_feature_sharing_strategy_saves_what_its_table_says(name, strategy, generator):
    apart, together = two_of(name, strategy)
    (parameters_apart, cache_apart), (parameters, cache) = counted(apart), counted(together)
    layer = together.layers[-1]
    reused = [group for group in layer.groups if group.computed_by != layer.index]
    structure = structure_of(layer.liv_class.operator.token_mixing)
    assert {group.role for group in reused} == set(structure.strategies[strategy].roles)
    saved = layer.branches * sum(weight.size for group in reused for weight in group.weights)
    assert parameters_apart - parameters == saved > 0
    dropped = dropped_states(name, strategy)
    scalars = sum(math.prod(state.shape) * (64 if state.per_token else 1) for state in dropped)
    assert cache_apart - cache == 4 * layer.branches * scalars
    assert_sizes_as_predicted(build_model(together))
    assert_every_parameter_learns(build_model(together), tokens(generator))
    assert_forms_agree(double(together), tokens(generator))


@pytest.mark.parametrize(("name", "strategy"), STRATEGIES)
def test_a_reused_feature_group_is_that_of_the_owner(name, strategy, generator, monkeypatch):
    model, seen = double(two_of(name, strategy)[1]), []
    for liv in (model.backbone.layers[0], model.backbone.layers[2]):
        monkeypatch.setattr(liv.mixer, "parallel", recording(liv.mixer.parallel, seen))
    model(tokens(generator))
    branches = len(seen) // 2
    reused = structure_of(model.arch.layers[0].liv_class.operator.token_mixing).strategies[strategy].roles
    for first, second in zip(seen[:branches], seen[branches:], strict=True):
        for role in first:
            assert torch.equal(first[role], second[role]) == (role in reused)


def recording(parallel, seen):
    def recorded(features, states, positions):
        seen.append(dict(features))
        return parallel(features, states, positions)

    return recorded


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        strategy
        for strategy in STRATEGIES
        if any(not state.per_token for state in dropped_states(*strategy.values))
    ],
)
def test_a_reused_state_is_read_across_the_borders_of_chunks_and_windows(name, strategy, generator):
    model, tokens_BL = double(two_of(name, strategy)[1]), tokens(generator, batch=1, length=140)
    with torch.no_grad():
        logits_BLV = model(tokens_BL)
    for split in ([1, 62, 0, 0, 1, 66, *[0] * 8], [129, 0, 1, *[0] * 9]):
        torch.testing.assert_close(fed(model, tokens_BL, split), logits_BLV, rtol=1e-9, atol=1e-9)


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
    losses = losses_of_training(build_model(arch), tokens(generator, batch=4, length=33), 12, 3e-3)
    assert all(np.isfinite(losses))
    assert losses[-1] < losses[0]
