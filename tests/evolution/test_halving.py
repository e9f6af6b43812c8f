"""Who goes on from a rung, and where the rungs are."""

from __future__ import annotations

import pytest

from star_core.errors import ConfigError
from star_core.evolution.halving import promoted, rung_steps
from tests.analysis.runs import individual
from tests.evolution.experiments import experiment


def problem(rungs, keep=0.5, steps=100, **sections):
    halving = {"halving": {"rungs": rungs, "keep": keep}}
    return experiment(training={"steps": steps}, evolution=halving, **sections)


@pytest.mark.parametrize(
    ("rungs", "steps", "expected"),
    [
        ([], 100, ()),
        ([0.25, 0.5], 100, (20, 50)),
        ([0.25, 0.5], 1000, (250, 500)),
        ([0.01, 0.02], 100, (10,)),
        ([0.5], 10, ()),
        ([0.97], 100, ()),
    ],
)
def test_rungs_are_whole_tens_of_steps_before_the_last(rungs, steps, expected):
    assert rung_steps(problem(rungs, steps=steps).params) == expected


def test_the_better_part_by_front_goes_on_and_failures_never_do():
    candidates = [
        individual(f"g001-0{number}", perplexity=perplexity, parameters=size, cache_bytes=1.0, status=status)
        for number, (perplexity, size, status) in enumerate(
            [(2.0, 9.0, "ok"), (3.0, 3.0, "ok"), (4.0, 4.0, "ok"), (1.0, 1.0, "diverged"), (5.0, 9.0, "ok")]
        )
    ]
    assert {best.id for best in promoted(problem([0.5], keep=0.4), candidates)} == {"g001-00", "g001-01"}
    assert [best.id for best in promoted(problem([0.5], keep=0.01), candidates[2:])] == ["g001-02"]
    assert promoted(problem([0.5]), candidates[3:4]) == []


def test_nothing_goes_on_beyond_a_constraint_while_others_keep_it():
    violating = individual("g001-00", perplexity=1.0, parameters=9.0, cache_bytes=1.0, violation=0.5)
    other = individual("g001-01", perplexity=2.0, parameters=9.0, cache_bytes=1.0)
    assert [best.id for best in promoted(problem([0.5], keep=0.5), [violating, other])] == ["g001-01"]


@pytest.mark.parametrize("rungs", [[0.5, 0.25], [0.0], [1.0], [0.5, 0.5]])
def test_rungs_that_do_not_rise_within_a_training_are_refused(rungs):
    with pytest.raises(ConfigError, match="rungs"):
        problem(rungs)
