"""Limits that nobody can meet, and candidates that meet none."""

import numpy as np
import pytest

from star_core.errors import ConfigError
from star_core.evolution.limits import _beginnings, check_limits
from star_core.objectives.base import objective
from tests.evolution.experiments import experiment

SIZES = ("parameters", "cache_bytes", "prefill_flops", "decode_flops")
SPACES = ({"preset": "paper"}, {"preset": "lfm2", "depth": 2}, {"preset": "full", "depth": 4, "min_depth": 1})


def limited(space=SPACES[0], **constraints):
    return experiment(space=space, objectives={"constraints": constraints})


@pytest.mark.parametrize("space", SPACES)
def test_no_architecture_is_below_the_bound_and_a_limit_below_it_is_refused(space):
    problem = limited(space)
    rng = np.random.default_rng(0)
    specs = [problem.compile(problem.space.sample(rng)) for _ in range(100)]
    section = problem.params.objectives
    for name in SIZES:
        entry = objective(name)
        least = min(entry.least(spec, section) for spec in _beginnings(problem))
        assert least <= min(entry.measure(spec, {}, section) for spec in specs)
        if least:
            with pytest.raises(ConfigError, match=rf"objectives.constraints.{name}: .*has less than"):
                check_limits(limited(space, **{name: 0.99 * least}))
        check_limits(limited(space, **{name: least}))


@pytest.mark.parametrize("name", [*SIZES, "peak_memory_bytes", "prefill_seconds", "mad_error", "perplexity"])
def test_a_negative_limit_on_what_has_no_sign_is_refused(name):
    with pytest.raises(ConfigError, match="no architecture of this search space has less than"):
        check_limits(limited(**{name: -1}))


def test_a_limit_on_an_objective_of_ones_own_may_have_any_sign(monkeypatch):
    from tests.evolution.own_objectives import VALUES, register_own

    register_own(monkeypatch, VALUES["negative"])
    check_limits(limited(own=-1e9))
