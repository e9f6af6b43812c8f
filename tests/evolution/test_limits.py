"""Limits that nobody can meet, and candidates that are over one before they are trained."""

import numpy as np
import pytest

from star_core import semantics
from star_core.errors import ConfigError, StarError
from star_core.evolution.base import ALGORITHMS
from star_core.evolution.limits import _beginnings, check_limits, semantics_of
from star_core.evolution.step import check_same_experiment
from star_core.objectives.base import excess, objective
from star_core.population.generation import read_generation
from tests.evolution.experiments import DATA, evolve, experiment

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


MEDIAN, TIGHT = 170_000, 150_000


def constrained(limits, algorithm="nsga2", **evolution):
    return experiment(
        objectives={"constraints": limits},
        evolution={"algorithm": algorithm, "population": 6, **evolution},
    )


def everyone(generations):
    return {member.id: member for generation in generations for member in generation.born}


def test_who_is_over_a_known_limit_is_not_trained_and_says_value_and_limit(tmp_path):
    made = evolve(constrained({"parameters": MEDIAN}), 3, failing=0)
    over = {name: m for name, m in everyone(made).items() if m.objectives["parameters"] > MEDIAN}
    assert 3 < len(over) < len(everyone(made)) - 3
    for name, member in everyone(made).items():
        if name not in over:
            assert (member.status, member.failure, member.violation) == ("ok", None, 0)
            continue
        value = member.objectives["parameters"]
        assert (member.status, member.objectives["perplexity"]) == ("infeasible", None)
        assert member.failure == f"parameters is {value:.0f}, the limit {MEDIAN}"
        assert member.violation == excess(value, MEDIAN)
        assert (member.cost.tokens, member.cost.flops) == (0, 0)
    for generation in made:
        generation.write(tmp_path / "generation.json")
        assert read_generation(tmp_path / "generation.json") == generation


@pytest.mark.parametrize("name", ALGORITHMS.names())
@pytest.mark.parametrize("limit", [MEDIAN, TIGHT])
def test_selection_is_what_it_would_be_if_they_were_trained(name, limit):
    problem = constrained({"parameters": limit}, name)
    spared, trained = (evolve(problem, 3, failing=0, everyone=whether) for whether in (False, True))
    assert any(member.status == "infeasible" for member in everyone(spared).values())
    assert all(member.ok for member in everyone(trained).values())
    here, there = (
        [[(m.id, m.genome, m.violation, m.rank) for m in generation.population] for generation in found]
        for found in (spared, trained)
    )
    assert here == there


def test_limits_on_what_a_training_tells_spare_nobody_the_training():
    made = evolve(constrained({"perplexity": 4.0}), 1, failing=0)
    assert all(member.ok for member in everyone(made).values())
    assert any(member.violation > 0 for member in everyone(made).values())


def test_where_all_founders_are_over_a_limit_the_search_goes_towards_it():
    made = evolve(constrained({"parameters": TIGHT}), 12, failing=0)
    assert all(member.status == "infeasible" for member in made[0].born)
    least = [min(member.violation for member in generation.population) for generation in made]
    assert least == sorted(least, reverse=True)
    assert least[-1] < least[0]


def test_such_a_run_states_what_it_was_made_by_and_no_other_run_does():
    limited, free = constrained({"parameters": MEDIAN}), constrained({"perplexity": 4.0})
    assert evolve(free, 0)[0].semantics == semantics.VERSIONS == semantics_of(experiment().params)
    generation = evolve(limited, 0)[0]
    assert generation.semantics == {**semantics.VERSIONS, "limits": 1}
    check_same_experiment(generation, limited.params, DATA, "params.yaml")
    before = generation.model_copy(update={"semantics": dict(semantics.VERSIONS)})
    with pytest.raises(StarError, match=r"star resume test --as NAME"):
        check_same_experiment(before, limited.params, DATA, "params.yaml")
