import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, kendalltau

from star_core.analysis.run.rank_correlation import FEWEST, Correlation, correlation, kendall


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 1 / 3),
        ([1, 1, 2, 3], [1, 2, 3, 3], 4 / 5),
        ([1, 2], [1, 2], None),
        ([1, 2, 3], [5, 5, 5], None),
    ],
)
def test_rank_correlation_by_hand(first, second, tau):
    assert kendall(first, second) == (tau if tau is None else pytest.approx(tau))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_it_is_scipys_with_ties(pairs):
    first, second = zip(*pairs, strict=True)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert kendall(first, second) is None
    else:
        assert kendall(first, second) == pytest.approx(kendalltau(first, second).statistic)


def test_the_interval_is_that_of_resampled_candidates():
    rng = np.random.default_rng(3)
    first = rng.normal(size=40)
    second = np.round(first + rng.normal(size=40), 1)
    found = correlation(first, second)
    peer = bootstrap(
        (first, second),
        lambda a, b: kendalltau(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=2000,
        rng=rng,
    ).confidence_interval
    assert found.tau == pytest.approx(kendalltau(first, second).statistic)
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.02)
    assert found == correlation(first, second)


def test_fewer_than_five_candidates_are_too_few():
    assert correlation([1, 2, 3, 4], [1, 2, 3, 4]) == Correlation(4, None, None, None)
    assert correlation([1, 2, 3, 4], [1, 2, 3, 4]).too_few
    assert correlation(range(FEWEST), range(FEWEST)) == Correlation(5, 1.0, 1.0, 1.0)


def test_a_constant_quantity_orders_nothing():
    found = correlation([1.0] * 9, range(9))
    assert (found.tau, found.low, found.too_few) == (None, None, False)
