"""The grid that makes measured values comparable."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core.evolution.noise import equalised
from star_core.evolution.survival import survive_by_crowding
from tests.analysis.runs import individual
from tests.evolution.experiments import experiment

positive = st.floats(1e-9, 1e12)
columns = st.lists(positive, min_size=2, max_size=20)


def column(values, noise):
    return equalised(np.array(values)[:, None], np.full((len(values), 1), noise))[:, 0]


@given(columns, st.floats(1e-3, 0.5))
def test_order_is_kept_and_what_differs_by_more_than_the_noise_stays_different(values, noise):
    made = column(values, noise)
    for a, x in zip(values, made, strict=True):
        assert abs(math.log(x / a)) <= math.log1p(noise) / 2 * (1 + 1e-6) + 1e-9
        for b, y in zip(values, made, strict=True):
            if a < b:
                assert x <= y
            if b > a * (1 + noise) * (1 + 1e-9):
                assert x < y


@given(columns, st.floats(1e-3, 0.5))
def test_equality_is_an_equivalence_and_stays(values, noise):
    made = column(values, noise)
    assert (column(made, noise) == made).all()
    alone = [column([value], noise)[0] for value in values]
    assert (np.array(alone) == made).all(), "a value's cell depends on no other value"


def test_values_within_the_noise_can_be_equal():
    a, b, c = column([100.0, 100.5, 120.0], 0.05)
    assert a == b < c


def test_exact_columns_failures_and_zeros_are_kept_to_the_bit():
    values = np.array([[0.1, 1.0, 0.0], [0.3, 1.001, 5.0], [1e30, math.nan, math.inf]])
    made = equalised(values, [0, math.nan, 0.1])
    assert (made[:, 0] == values[:, 0]).all()
    assert made[:2, 1].tolist() == [1.0, 1.001]
    assert made[0, 2] == 0
    assert made[1, 2] != 5
    assert made[2, 2] == math.inf


def test_one_grid_is_as_wide_as_the_median_noise_of_its_objective():
    values = [[1.0], [1.1], [1.2]]
    assert (equalised(values, [[0.3], [0.01], [0.2]]) == equalised(values, [0.2])).all()
    assert not (equalised(values, [0.2]) == equalised(values, [0.01])).all()


def test_what_is_given_is_not_changed():
    values = np.array([[1.0], [1.01]])
    equalised(values, [0.1])
    assert values.tolist() == [[1.0], [1.01]]
    with pytest.raises(ValueError, match="broadcast"):
        equalised(values, [0.1, 0.1])


def test_survival_takes_times_within_the_noise_as_equal():
    problem = experiment(
        objectives={"names": ["perplexity", "decode_seconds_per_token"]}, evolution={"population": 2}
    )

    def timed(name, perplexity, seconds, noise):
        candidate = individual(name, perplexity=perplexity, decode_seconds_per_token=seconds)
        return candidate.model_copy(update={"noise": {"decode_seconds_per_token": noise} if noise else None})

    def ranks(noise):
        pair = [timed("g000-00", 10.0, 1.001e-3, noise), timed("g000-01", 11.0, 1e-3, noise)]
        return [(candidate.id, candidate.rank) for candidate in survive_by_crowding(problem, pair, 0)]

    assert sorted(ranks(None)) == [("g000-00", 0), ("g000-01", 0)]
    assert ranks(0.05) == [("g000-00", 0), ("g000-01", 1)], "worse, and no faster that can be told"
