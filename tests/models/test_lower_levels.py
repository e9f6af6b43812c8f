"""Every valid combination of the operator and featurizer levels builds, trains and decodes."""

import numpy as np
import pytest

from star_core import build_model
from star_core.genome import SearchSpace
from star_core.vocabulary.operator import LIVClass
from tests.genome.lower_levels import neighbours, valid_operators
from tests.models.language_models import (
    assert_every_parameter_learns,
    assert_forms_agree,
    assert_sizes_as_predicted,
    compiled,
    double,
    losses_of_training,
    tokens,
)

VALID = list(valid_operators())
SPLITS = {"mixed": [0, 9, 0, 3]}


def assert_works(liv_class, generator):
    space = SearchSpace("one", {1: liv_class}, depth=2)
    arch = compiled("11111", space, head_dim=4)
    model, tokens_BL = build_model(arch), tokens(generator, length=14)
    assert_sizes_as_predicted(model)
    assert_every_parameter_learns(model, tokens_BL)
    assert_forms_agree(double(arch), tokens_BL, SPLITS)


@pytest.mark.parametrize("liv_class", VALID, ids=lambda c: c.name)
def test_every_valid_operator_builds_trains_and_decodes(liv_class, generator):
    assert_works(liv_class, generator)


@pytest.mark.parametrize("part", range(8))
def test_any_feature_group_may_be_made_in_any_valid_way(part, generator):
    rng = np.random.default_rng(part)
    for liv_class in VALID[part::8]:
        others = list(filter(fits, neighbours(liv_class)))
        for index in rng.choice(len(others), size=4, replace=False):
            assert_works(others[index], generator)


def fits(liv_class):
    """Whether its repeat factors divide four heads."""
    return all(group.repeat != 3 for group in liv_class.featurizer.groups)


@pytest.mark.parametrize("seed", range(24))
def test_all_feature_groups_may_differ_at_once(seed, generator):
    rng = np.random.default_rng(seed)
    liv_class = VALID[int(rng.integers(len(VALID)))]
    for _ in range(6):
        others = list(filter(fits, neighbours(liv_class)))
        liv_class = others[int(rng.integers(len(others)))]
    liv_class = LIVClass(liv_class.name, liv_class.operator, liv_class.featurizer, bool(seed % 2))
    assert_works(liv_class, generator)


def test_training_a_combination_lowers_its_loss(generator):
    for liv_class in VALID[::7]:
        model = build_model(compiled("11111-11111", SearchSpace("one", {1: liv_class}, depth=2), width=16))
        losses = losses_of_training(model, tokens(generator, batch=4, length=20), 8, 1e-2)
        assert losses[-1] < losses[0], liv_class.name
