"""Searches by objectives of a user's own: values of every sign and scale, and values that are none."""

import math

import numpy as np
import pytest

from star_core.errors import StarError
from star_core.evolution.base import ALGORITHMS
from star_core.evolution.noise import equalised
from star_core.evolution.predictor import fit
from star_core.evolution.survival import survive_by_crowding
from star_core.objectives.base import MOST_VIOLATION, excess, violation
from star_core.population.generation import read_generation
from tests.evolution.contract import individual, problem_of
from tests.evolution.experiments import evolve, experiment
from tests.evolution.own_objectives import VALUES, register_own

SCREENING = {"factor": 3, "minimum": 6, "explore": 0.25}


def again(generation, folder):
    """A generation written and read."""
    generation.write(folder / "generation.json")
    return read_generation(folder / "generation.json")


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_every_algorithm_searches_by_any_finite_number(name, kind, monkeypatch, tmp_path):
    register_own(monkeypatch, VALUES[kind])
    for objectives in (["own"], ["own", "parameters"]):
        problem = problem_of(name, objectives, population=6, screening=SCREENING)
        made = evolve(problem, 3, failing=20)
        assert len(made[-1].archive) >= 6, "or nothing was screened"
        for generation in made:
            assert again(generation, tmp_path) == generation
        best = [min(m.objectives["own"] for m in each.population if m.ok) for each in made]
        assert best == sorted(best, reverse=True) or len(objectives) > 1


@pytest.mark.parametrize("kind", VALUES)
def test_the_predictor_learns_from_any_finite_number(kind):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 4))
    values = [
        VALUES[kind](2 + row[0] / 3, float(share)) for row, share in zip(rows, rng.random(30), strict=True)
    ]
    assert np.isfinite(fit(rows, values).predict(100 * rows)).all()


def test_the_predictor_finds_a_law_that_crosses_0():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    values = rows @ [1.0, -2.0, 0.5] - 0.3
    predicted = fit(rows[:30], values[:30]).predict(rows[30:])
    assert predicted == pytest.approx(values[30:], abs=0.05)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda loss, share: math.nan if share < 0.3 else loss, "own is nan"),
        (lambda loss, share: -math.inf if share < 0.3 else loss, "own is -inf"),
        (lambda loss, share: 1 / 0 if share < 0.3 else loss, "own: ZeroDivisionError: division by zero"),
        (
            lambda loss, share: None if share < 0.3 else loss,
            "own: TypeError: must be real number, not NoneType",
        ),
        (lambda loss, share: 10**400 if share < 0.3 else loss, "own: OverflowError: int too large"),
    ],
)
@pytest.mark.parametrize("trained", [True, False])
def test_no_finite_number_is_that_candidates_failure_and_the_run_goes_on(
    value, said, trained, monkeypatch, tmp_path
):
    register_own(monkeypatch, value, trained=trained)
    problem = problem_of("nsga2", ["perplexity", "own"], population=8, screening=SCREENING)
    made = evolve(problem, 3, failing=0)
    failed = [member for each in made for member in each.born if member.failure is not None]
    assert failed
    for member in failed:
        assert (member.status, member.objectives["own"]) == ("crashed", None)
        assert member.failure.startswith(said)
        assert member.objectives["perplexity"] is not None
    assert all(member.ok for member in made[-1].population)
    stored = [again(each, tmp_path) for each in made]
    assert stored == made
    assert all(
        (b'"failure"' in each.to_bytes()) == any(m.failure for m in (*each.population, *each.rejected))
        for each in made
    )


def test_where_nobody_has_a_value_the_error_says_of_which_objective(monkeypatch):
    register_own(monkeypatch, lambda loss, share: math.nan)
    with pytest.raises(StarError, match=r"5 crashed \(own is nan\)"):
        evolve(problem_of("nsga2", ["own"]), 0, failing=0)


def test_a_limit_of_0_has_a_scale():
    assert 0 < excess(1e-3, 0) < excess(1.0, 0) < excess(2.0, 0) < 1.2
    assert excess(65_536, 0) < 12, "it does not drown the other constraints"
    assert excess(110.0, 100.0) == (110.0 - 100.0) / 100.0
    assert excess(-50.0, -100.0) == 0.5
    section = experiment(
        objectives={"constraints": {"parameters": 0, "cache_bytes": -1e300}}
    ).params.objectives
    assert violation({"parameters": 0.0, "cache_bytes": None}, section) == 0
    section = experiment(objectives={"constraints": {"parameters": -2.3e-308}}).params.objectives
    assert violation({"parameters": 1.7e308}, section) == MOST_VIOLATION


def test_one_far_beyond_its_limit_still_leads_those_that_failed():
    names = ["a"]
    made = [individual(0, None, names), individual(1, [1], names, violation=MOST_VIOLATION)]
    assert [m.id for m in survive_by_crowding(problem_of("nsga2", names, population=2), made, 0)] == [
        "g000-01",
        "g000-00",
    ]


def test_noise_makes_values_equal_on_both_sides_of_0():
    values = np.array([[-120.0], [-100.5], [-100.0], [0.0], [100.0], [100.5], [120.0]])
    made = equalised(values, [0.05])[:, 0]
    assert made[1] == made[2]
    assert (made == -made[::-1]).all()
    assert (np.diff(made) >= 0).all()
