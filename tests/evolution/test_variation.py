"""Switches of variation that are off by default: what becomes of invalid children, cuts, links, mutations."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.core.individual import Individual as PymooIndividual
from pymoo.core.population import Population

from star_core.errors import ConfigError
from star_core.evolution.base import ALGORITHMS
from star_core.evolution.links import keep_links
from star_core.evolution.operators import GenomeProblem, PositionMutation
from star_core.evolution.step import offspring_of
from star_core.genome import Genome, SearchSpace
from star_core.vocabulary.tables import GENES_PER_LIV
from tests.evolution.experiments import evolve, experiment

REPAIRED = ("age_moea", "firefly", "genetic", "nsga2", "nsga3", "sms_emoa")


def litter(groups=4, **evolution):
    """A parent generation, its offspring, and all children as they were before repair."""
    seen = []
    space = {"depth": 6, "groups": groups}
    problem = experiment(space=space, evolution={"population": 20, **evolution})
    parent = evolve(experiment(space={"depth": 6}, evolution={"population": 20}), 0, failing=0)[0]
    watching = type(problem)(problem.params, problem.vocab_size, watch=seen.append)
    made = offspring_of(watching, parent)
    assert made == offspring_of(problem, parent)
    return problem, made, seen


def test_all_but_random_search_repair():
    assert set(REPAIRED) | {"random_search"} == set(ALGORITHMS.names())


@pytest.mark.parametrize("algorithm", REPAIRED)
def test_rejected_children_leave_their_places_empty(algorithm):
    problem, made, seen = litter(algorithm=algorithm, repair="reject")
    valid = {str(genome) for genome in seen if problem.space.is_valid(genome)}
    assert len(seen) >= 20
    assert 0 < len(made) < 20
    assert {child.genome for child in made} <= valid
    assert all(child.origin.operator == "variation" and not child.origin.repairs for child in made)


@pytest.mark.parametrize("algorithm", REPAIRED)
def test_re_sampled_children_are_all_valid_by_themselves(algorithm):
    problem, made, seen = litter(algorithm=algorithm, repair="resample")
    valid = {str(genome) for genome in seen if problem.space.is_valid(genome)}
    assert len(made) == 20
    assert len(valid) < len(seen)
    assert {child.genome for child in made} <= valid
    assert all(child.origin.operator == "variation" and not child.origin.repairs for child in made)


def test_the_guard_rails_repair_what_is_invalid_and_nothing_else():
    problem, made, seen = litter()
    valid = {str(genome): problem.space.is_valid(genome) for genome in seen}
    assert len(made) == 20
    assert {bool(child.origin.repairs) for child in made} == {True, False}
    for child in made:
        if child.origin.repairs:
            assert child.genome not in valid
        else:
            assert valid[child.genome]


@pytest.mark.parametrize("key", ["repair", "crossover", "mutation"])
def test_an_unknown_switch_is_an_error_that_lists_the_choices(key):
    with pytest.raises(ConfigError, match=rf"evolution.{key}: 'none'.*should be '"):
        experiment(evolution={key: "none"})


@pytest.mark.parametrize("crossover", ["livs", "links"])
def test_cuts_between_livs(crossover):
    _, made, _ = litter(crossover=crossover, crossover_points=3)
    points = [point for child in made for point in child.origin.crossover_points]
    assert points
    assert all(point % GENES_PER_LIV == 0 for point in points)
    assert all(len(child.origin.crossover_points) in (0, 3) for child in made)


def test_recombination_that_keeps_links_breaks_nothing_where_indices_suffice():
    invalid = {}
    for crossover in ("genes", "livs", "links"):
        problem, _, seen = litter(groups=8, crossover=crossover, mutation_rate=0.0)
        invalid[crossover] = sum(not problem.space.is_valid(genome) for genome in seen)
    assert invalid["links"] == 0
    assert min(invalid["genes"], invalid["livs"]) > 0


def linked(space, genome, at):
    """Pairs of LIVs (among positions ``at``) that are in one feature-sharing group."""
    members = {}
    for index in at:
        liv = genome.livs[index]
        if liv.feature_strategy != 1:
            members.setdefault(liv.feature_group, []).append(index)
    return {pair for group in members.values() for pair in itertools.combinations(group, 2)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_links_of_both_parents_survive_recombination(seed, depth):
    """With indices for all groups of both parents nothing is broken and nobody new is joined."""
    rng = np.random.default_rng(seed)
    few, many = (SearchSpace.preset("paper", depth, groups) for groups in (3, 6))
    parents = [few.sample(rng) for _ in range(2)]
    sources = rng.integers(0, 2, depth).tolist()
    mixed = [parents[source].livs[index] for index, source in enumerate(sources)]
    child = keep_links(many, Genome(tuple(mixed)).to_vector(), sources)
    genome = Genome.from_vector(child)
    many.validate(genome)
    kept = [
        linked(many, parents[source], [index for index in range(depth) if sources[index] == source])
        for source in (0, 1)
    ]
    assert linked(many, genome, range(depth)) == kept[0] | kept[1]
    for before, after in zip(mixed, genome.livs, strict=True):
        assert (*list(before)[:3], before.feature_strategy) == (*list(after)[:3], after.feature_strategy)


def test_without_indices_enough_the_rest_is_left_to_the_guard_rails():
    space = SearchSpace.preset("paper", 4, groups=1)
    first, second = Genome.parse("11112-11112-11112-11112"), Genome.parse("51112-51112-51112-51112")
    mixed = Genome((*first.livs[:2], *second.livs[2:])).to_vector()
    child = keep_links(space, mixed, [0, 0, 1, 1])
    assert child.tolist() == mixed.tolist()
    assert not space.is_valid(Genome.from_vector(child))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 1))
def test_fitting_mutations_break_nothing(seed, rate):
    problem, rng = experiment(space={"depth": 10}), np.random.default_rng(seed)
    before = problem.space.sample(rng)
    child = PymooIndividual(X=before.to_vector())
    PositionMutation(rate, fitting=True).do(
        GenomeProblem(problem), Population.create(child), random_state=rng
    )
    after = Genome.from_vector(child.X)
    problem.space.validate(after)
    changed = np.flatnonzero(before.to_vector() != after.to_vector())
    assert set(child.data["mutations"]) == set(changed.tolist())
    if rate == 1:
        assert len(changed) > 25


def test_keys_younger_than_stored_generations_are_in_the_identity_only_when_they_are_set():
    defaults = experiment().params.identity()["evolution"]
    for key, value in {"repair": "reject", "crossover": "livs", "mutation": "fitting", "elites": 3}.items():
        assert key not in defaults
        assert experiment(evolution={key: value}).params.identity()["evolution"][key] == value
