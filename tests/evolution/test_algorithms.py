"""The contract for every registered algorithm, and what each is for."""

import importlib
import itertools
import math
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from star_core.evolution.age_moea import Geometry, geometry, norm, survival_scores
from star_core.evolution.base import ALGORITHMS, algorithm
from star_core.evolution.firefly import Firefly
from star_core.evolution.fitness import fitness, fittest_first
from star_core.genome import Genome
from star_core.genome.layout import Layout
from tests.evolution.contract import (
    FOUR,
    AlgorithmContract,
    candidates,
    dominates,
    feasible,
    individual,
    problem_of,
    run_elsewhere,
    values,
)
from tests.evolution.experiments import evolve, experiment

NAMES = ALGORITHMS.names()

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def elsewhere():
    return run_elsewhere(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestContract(AlgorithmContract):
    pass


def test_every_algorithm_is_in_the_documentation():
    documented = set(re.findall(r"`([a-z0-9_]+)`", (ROOT / "docs/search.md").read_text()))
    assert {"nsga2", "nsga3", "firefly"} <= set(NAMES) <= documented


@settings(max_examples=60, deadline=None)
@given(candidates())
def test_fitness_respects_dominance_and_feasibility(given):
    names, made = given
    fit = fitness(problem_of("genetic", names), made)
    for member in made:
        for other in made:
            if feasible(member) and not feasible(other):
                assert fit[member.id] < fit[other.id]
            if (
                feasible(member)
                and feasible(other)
                and dominates(values(member, names), values(other, names))
            ):
                assert fit[member.id] < fit[other.id]


def ids(population):
    return [member.id for member in population]


def test_offspring_of_a_plain_genetic_algorithm_replace_all_but_the_elites():
    names = FOUR[:1]
    parents = [individual(slot, [slot], names) for slot in range(5)]
    offspring = [individual(slot, [10 + slot], names, born=1) for slot in range(5)]
    for elites, kept in ((0, []), (2, ["g000-00", "g000-01"]), (5, ids(parents))):
        problem = problem_of("genetic", names, elites=elites)
        population = algorithm("genetic").survive(problem, [*parents, *offspring], 1)
        assert ids(population) == [*kept, *ids(offspring)[: 5 - elites]]
    # Parents fill what offspring leave open, and go before offspring that failed.
    failed = [individual(slot, None, names, born=1) for slot in range(4)]
    population = algorithm("genetic").survive(
        problem_of("genetic", names), [*parents, *failed, offspring[4]], 1
    )
    assert ids(population) == ["g000-00", "g000-01", "g000-02", "g000-03", "g001-04"]


def test_a_plain_genetic_algorithm_lets_the_fittest_mate():
    problem = problem_of("genetic", population=20, tournament=20)
    parent = evolve(problem, 0, failing=0)[0]
    best = fittest_first(problem, parent.population)[0]
    born = algorithm("genetic").vary(problem, parent.population, 1, frozenset())
    assert {name for child in born for name in child.parents} == {best.id}


def moved(firefly, genomes, own, guides):
    vectors = {name: np.array(genome) for name, genome in genomes.items()}
    x, points, followed = firefly._moved(Layout(8), vectors, own, guides, np.random.default_rng(0))
    return x.tolist(), points, followed


def test_a_firefly_is_drawn_by_brighter_ones_less_the_further_they_are():
    genomes = {"own": [1] * 40, "near": [1] * 36 + [2] * 4, "far": [3] * 40}
    assert moved(Firefly(1.0, 0.0), genomes, "own", ["near", "far"]) == ([3] * 40, (), ("far",))
    assert moved(Firefly(0.0), genomes, "own", ["near", "far"]) == ([1] * 40, (), ())
    assert moved(Firefly(1.0), genomes, "own", []) == ([1] * 40, (), ())
    x, points, followed = moved(Firefly(1.0, 30.0), genomes, "own", ["far", "near"])
    assert x.count(3) == 0
    assert x.count(2)
    assert points[0] >= 36
    assert followed == ("near",)


def test_a_firefly_moves_only_to_where_it_is_no_dimmer():
    names = FOUR[:1]
    parents = [individual(slot, [value], names) for slot, value in enumerate((1, 5, 9))]
    moves = [
        individual(slot, [value], names, born=1, parents=(parents[slot].id,))
        for slot, value in enumerate((2, 5, 7))
    ]
    population = algorithm("firefly").survive(
        problem_of("firefly", names, population=3), [*parents, *moves], 1
    )
    # The first would have been dimmer, the second is as bright as it was, the third is brighter.
    assert ids(population) == ["g000-00", "g001-01", "g001-02"]


def test_the_brightest_firefly_pulls_last():
    problem = problem_of("firefly", population=8)
    parent = evolve(problem, 0, failing=0)[0]
    brightest, dimmer, *_ = fittest_first(problem, parent.population)
    made = Firefly(attractiveness=1, absorption=0).vary(problem, parent.population, 1, frozenset())
    followed = {child.parents[0]: child.parents[1:] for child in made}
    assert followed[brightest.id] == ()
    # As bright as the brightest are none, as it happens; so all others end where it is.
    assert fitness(problem, parent.population)[brightest.id] < fitness(problem, parent.population)[dimmer.id]
    assert {guides[-1] for mover, guides in followed.items() if mover != brightest.id} == {brightest.id}


def test_every_firefly_gets_its_turn_when_there_are_few_offspring():
    problem = problem_of("firefly", population=6, offspring=2)
    parent = evolve(problem, 0, failing=0)[0]
    movers = [
        [
            child.parents[0]
            for child in algorithm("firefly").vary(problem, parent.population, index, frozenset())
        ]
        for index in (1, 2, 3)
    ]
    assert sorted(itertools.chain(*movers)) == sorted(ids(parent.population))


def test_random_search_has_no_parents():
    for generation in evolve(problem_of("random_search"), 2)[1:]:
        assert all(member.origin.operator == "random" and not member.parents for member in generation.born)


@pytest.mark.parametrize("name", ["nsga3", "sms_emoa", "age_moea"])
def test_units_of_objectives_do_not_matter(name):
    rng, names = np.random.default_rng(1), FOUR[:3]
    points = rng.random((24, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    kept = []
    for units in ((1, 1, 1), (1e7, 1e-4, 3)):
        made = [individual(slot, units * point + 5, names) for slot, point in enumerate(points)]
        kept.append(set(ids(algorithm(name).survive(problem_of(name, names, population=8), made, 0))))
    assert kept[0] == kept[1]


def test_sms_emoa_gives_up_what_adds_least_volume():
    rng, names = np.random.default_rng(3), FOUR[:2]
    for _ in range(20):
        x = np.sort(np.concatenate([[0, 1], rng.random(7)]))
        front = np.column_stack([x, (1 - np.sqrt(x)) ** 2 * 100])
        made = [individual(slot, point, names) for slot, point in enumerate(front)]
        kept = ids(algorithm("sms_emoa").survive(problem_of("sms_emoa", names, population=8), made, 0))
        # Between two neighbours a member alone dominates a rectangle up to their other ends.
        added = (x[2:] - x[1:-1]) * (front[:-2, 1] - front[1:-1, 1])
        assert {member.id for member in made} - set(kept) == {made[1 + int(np.argmin(added))].id}


@pytest.mark.parametrize("name", ["nsga2", "nsga3", "sms_emoa", "age_moea", "random_search"])
def test_the_ends_of_the_front_survive(name):
    names = FOUR[:2]
    points = [(step, 20 - step) for step in (0, 9, 9.5, 10, 10.5, 11, 20)]
    made = [individual(slot, point, names) for slot, point in enumerate(points)]
    kept = ids(algorithm(name).survive(problem_of(name, names, population=4), made, 0))
    assert {made[0].id, made[-1].id} < set(kept)


def test_nsga3_keeps_one_for_each_direction():
    names = FOUR[:3]
    corners = [(9, 0, 0), (0, 9, 0), (0, 0, 9)]
    crowd = [(8.5 - step / 10, 0.1 + step / 100, 0) for step in range(6)]
    made = [individual(slot, point, names) for slot, point in enumerate([*crowd, *corners])]
    kept = algorithm("nsga3").survive(problem_of("nsga3", names, population=3), made, 0)
    assert len({int(np.argmax(values(member, names))) for member in kept}) == 3


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 4.0])
def test_age_moea_sees_the_shape_of_a_front(power):
    share = np.linspace(0, 1, 41)
    front = np.column_stack([share, (1 - share**power) ** (1 / power)])
    found = geometry(7 + 3 * front)
    assert found.ideal == pytest.approx([7, 7])
    assert found.scale == pytest.approx([3, 3], rel=1e-6)
    assert found.power == pytest.approx(power, rel=0.1)
    assert norm(front, found.power) == pytest.approx(1, rel=0.1)


@pytest.fixture
def pymoo_age(monkeypatch):
    """pymoo's survival of this name, interpreted: it would be compiled by numba, which is not installed."""
    numba = types.ModuleType("numba")
    numba.jit = lambda **_: lambda function: function
    numba.intp, numba.boolean, numba.float64 = np.intp, np.bool_, np.float64
    monkeypatch.setitem(sys.modules, "numba", numba)
    monkeypatch.delitem(sys.modules, "pymoo.algorithms.moo.age", raising=False)
    yield importlib.import_module("pymoo.algorithms.moo.age").AGEMOEASurvival()
    del sys.modules["pymoo.algorithms.moo.age"]


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_age_moea_sees_the_geometry_that_pymoo_sees(pymoo_age, objectives):
    """pymoo divides distances by the wrong member's norm after that, so its scores are none to agree with."""
    rng = np.random.default_rng(objectives)
    for power in (0.7, 1.0, 2.5):
        direction = rng.random((30, objectives)) + 0.01
        front = direction / norm(direction, power)[:, None] * rng.uniform(0.5, 3, objectives)
        found = geometry(front)
        expected, shape, scale = pymoo_age.survival_score(front.copy(), front.min(axis=0))
        assert found.scale == pytest.approx(scale)
        assert found.power == pytest.approx(shape)
        assert sorted(found.corners) == np.flatnonzero(np.isinf(expected)).tolist()


def test_age_moea_values_distance_to_two_neighbours_over_depth():
    front = np.array([(0, 1), (0.3, 0.7), (0.5, 0.4), (0.9, 0.1), (1, 0)])
    shape = Geometry(np.zeros(2), np.ones(2), (0, 4), 1.0)
    scores = survival_scores(front, shape)
    # Beside the ends alone all have 2 over their norm: the innermost comes first.
    assert scores[[0, 4]].tolist() == [math.inf, math.inf]
    assert scores[2] == pytest.approx((1.1 + 0.9) / 0.9)
    # Then the second has the first end and the third beside it, the fourth the other end and the third.
    assert scores[1] == pytest.approx((0.6 + 0.5) / 1)
    assert scores[3] == pytest.approx((0.2 + 0.7) / 1)


def test_an_algorithm_of_ones_own_instances_can_be_registered():
    """Firefly is data: a package registers another one by one line."""
    problem = experiment(evolution={"population": 4})
    parent = evolve(problem, 0, failing=0)[0]
    made = Firefly(attractiveness=0.9, absorption=3).vary(problem, parent.population, 1, frozenset())
    assert all(problem.space.is_valid(Genome.parse(child.genome)) for child in made)
