import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core.analysis.run.pareto import (
    BEST,
    REFERENCE,
    Normalisation,
    Scale,
    front,
    non_dominated,
    progress,
)
from star_core.errors import StarError
from tests.analysis.runs import generation, individual
from tests.evolution.contract import dominates
from tests.evolution.experiments import evolve, experiment

NAMES = ("perplexity", "parameters")
points = st.integers(1, 4).flatmap(
    lambda count: st.lists(st.tuples(*[st.integers(0, 6)] * count), max_size=12)
)


def point(name, perplexity, parameters, **more):
    return individual(name, perplexity=perplexity, parameters=parameters, **more)


def test_the_front_is_found_by_hand():
    assert non_dominated([(3, 3), (1, 4), (2, 2), (4, 1), (2, 2), (2, 5)]) == [1, 2, 3, 4]


@given(points)
def test_the_front_is_what_the_definition_says(found):
    expected = [
        index for index, point in enumerate(found) if not any(dominates(other, point) for other in found)
    ]
    assert non_dominated(found) == expected


def test_failed_infeasible_and_incomplete_individuals_are_on_no_front():
    members = [
        point("g000-00", 5.0, 10.0),
        point("g000-01", None, 1.0, status="diverged"),
        point("g000-02", 1.0, 1.0, violation=0.2),
        individual("g000-03", perplexity=1.0),
        point("g000-04", 6.0, 9.0),
        point("g000-05", 6.0, 10.0),
    ]
    assert [member.id for member in front(members, NAMES)] == ["g000-00", "g000-04"]


def test_the_front_of_a_generation_is_the_stored_one():
    problem = experiment(evolution={"seed": 1})
    for stored in evolve(problem, 3):
        ours = front(stored.population, problem.params.objectives.selected)
        assert {member.id for member in ours} == {member.id for member in stored.front}


def test_hypervolume_of_two_points_by_hand():
    founders = [point("g000-00", 1.0, 100.0), point("g000-01", math.e, 100 * math.e)]
    frame = Normalisation.of_founders(founders, NAMES)
    # On the scale of the founders these are (0, 0.5) and (0.5, 0); the reference is (1.1, 1.1).
    raw = [(1.0, 100 * math.e**0.5), (math.e**0.5, 100.0)]
    union = 1.1 * 0.6 + 0.6 * 1.1 - 0.6 * 0.6
    assert frame.hypervolume(raw) == pytest.approx(union)


def test_hypervolume_is_clipped_and_ignores_what_is_beyond_the_reference():
    scale = Normalisation(("x",), (Scale(1.0, 10.0, True),))
    assert scale.hypervolume([(1000.0,)]) == 0
    assert scale.hypervolume([(1e-9,)]) == pytest.approx(REFERENCE - BEST) == scale.largest
    assert scale.hypervolume([(0.0,)]) == scale.largest
    assert scale.hypervolume([]) == 0


def test_a_founder_without_a_positive_value_makes_the_scale_linear():
    founders = [individual("g000-00", cache_bytes=0.0), individual("g000-01", cache_bytes=50.0)]
    frame = Normalisation.of_founders(founders, ("cache_bytes",))
    assert frame.hypervolume([(25.0,)]) == pytest.approx(0.6)


def test_founders_that_agree_leave_a_doubling():
    frame = Normalisation.of_founders([individual(perplexity=4.0)], ("perplexity",))
    assert frame.hypervolume([(4.0,)]) == pytest.approx(1.1)
    assert frame.hypervolume([(8.0,)]) == pytest.approx(0.1)


def test_a_run_without_a_trained_founder_has_no_scale():
    with pytest.raises(StarError, match="no founder was trained"):
        Normalisation.of_founders([individual(status="crashed", perplexity=None)], ("perplexity",))


def test_later_generations_change_no_earlier_hypervolume():
    problem = experiment(evolution={"seed": 4})
    names = problem.params.objectives.selected
    generations = evolve(problem, 5)
    assert progress(generations, names)[:4] == progress(generations[:4], names)


def test_hypervolume_of_everything_never_falls_and_bounds_the_population():
    problem = experiment(evolution={"seed": 2})
    rows = progress(evolve(problem, 5), problem.params.objectives.selected)
    archive = [row.hypervolume_all for row in rows]
    assert archive == sorted(archive)
    assert all(row.hypervolume <= row.hypervolume_all + 1e-12 for row in rows)


def test_tokens_count_what_was_evaluated_and_nothing_twice():
    first, second = point("g000-00", 5.0, 10.0), point("g000-01", 6.0, 9.0)
    again = point("g001-00", 5.0, 10.0, parents=("g000-00",), key=first.key)
    fresh = point("g001-01", None, 8.0, parents=("g000-01",), status="timed_out")
    rows = progress([generation(0, [first, second]), generation(1, [first, second], [again, fresh])], NAMES)
    assert [(row.evaluated, row.failed, row.tokens, row.flops) for row in rows] == [
        (2, 0, 200, 2000),
        (3, 1, 300, 3000),
    ]


def test_no_generations_no_progress():
    assert progress([], NAMES) == []
