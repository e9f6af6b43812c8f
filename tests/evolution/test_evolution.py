import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core.config import OBJECTIVE_PRESETS
from star_core.errors import ConfigError, StarError
from star_core.evolution.base import algorithm, founders
from star_core.evolution.step import check_same_experiment, offspring_of, select
from star_core.genome import Genome
from tests.evolution.contract import dominates
from tests.evolution.experiments import DATA, evolve, experiment


def values(member, names):
    return [member.objectives[name] for name in names]


def test_founders_are_valid_different_and_start_with_the_seeds():
    problem = experiment(evolution={"population": 6, "seeds": ["transformer++", "striped-hybrid"]})
    made = founders(problem)
    assert len({founder.digest for founder in made}) == len(made) == 6
    assert [founder.origin.operator for founder in made] == ["seed"] * 2 + ["random"] * 4
    for founder in made:
        problem.space.validate(Genome.parse(founder.genome))
        assert problem.compile(Genome.parse(founder.genome)).digest == founder.digest


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(["paper", "lfm2", "attention"]))
def test_offspring_are_valid_new_and_tell_how_they_were_made(seed, preset):
    problem = experiment(evolution={"seed": seed, "mutation_rate": 0.3}, space={"preset": preset, "depth": 5})
    parent = evolve(problem, 1)[-1]
    genomes = {member.id: Genome.parse(member.genome).to_vector() for member in parent.population}
    known = {member.digest for member in (*parent.population, *parent.rejected)}
    made = offspring_of(problem, parent)
    assert len(made) == problem.params.evolution.num_offspring
    assert len({offspring.digest for offspring in made} | known) == len(made) + len(known)
    for offspring in made:
        child = Genome.parse(offspring.genome)
        problem.space.validate(child)
        assert problem.compile(child).digest == offspring.digest
        touched = {*offspring.origin.mutations, *(repair.position for repair in offspring.origin.repairs)}
        vector = child.to_vector()
        if offspring.origin.operator == "variation":
            assert set(offspring.parents) <= set(genomes)
            inherited = np.array([genomes[name] for name in offspring.parents])
            for position in set(range(len(vector))) - touched:
                assert vector[position] in inherited[:, position]
            # Between two cut points everything untouched comes from one parent.
            cuts = [0, *offspring.origin.crossover_points, len(vector)]
            for start, end in itertools.pairwise(cuts):
                kept = [p for p in range(start, end) if p not in touched]
                assert any((parent_vector[kept] == vector[kept]).all() for parent_vector in inherited)


@pytest.mark.parametrize("preset", sorted(OBJECTIVE_PRESETS))
def test_survival_keeps_the_non_dominated_and_orders_the_population(preset):
    problem = experiment(objectives={"preset": preset}, evolution={"population": 10})
    names = OBJECTIVE_PRESETS[preset]
    for generation in evolve(problem, 4):
        alive = [member for member in generation.population if member.ok]
        for member in generation.front:
            assert not any(dominates(values(other, names), values(member, names)) for other in alive)
        ranks = [member.rank for member in generation.population if member.ok]
        assert ranks == sorted(ranks)
        assert [member.ok for member in generation.population] == sorted(
            (member.ok for member in generation.population), reverse=True
        )


def test_the_best_never_gets_worse():
    problem = experiment(objectives={"preset": "quality"})
    best = [generation.population[0].objectives["perplexity"] for generation in evolve(problem, 6)]
    assert best == sorted(best, reverse=True)
    assert best[-1] < best[0]


def test_everyone_is_accounted_for():
    generations = evolve(experiment(), 3)
    for before, after in itertools.pairwise(generations):
        stayed = {member.id for member in after.population if member.born < after.index}
        assert {member.id for member in before.population} == stayed | set(after.evicted)
        assert len(after.born) == 8


def test_a_failed_training_is_the_last_to_survive_and_never_on_the_front():
    problem = experiment(evolution={"population": 8})
    generation = evolve(problem, 0, failing=128)[0]
    assert any(not member.ok for member in generation.population)
    assert all(member.ok for member in generation.front)
    assert all(member.objectives["perplexity"] is None for member in generation.population if not member.ok)


def test_constraints_are_hard():
    problem = experiment(objectives={"preset": "quality", "constraints": {"parameters": 150_000}})
    generation = evolve(problem, 5, failing=0)[-1]
    assert generation.front
    for member in generation.front:
        assert member.objectives["parameters"] <= 150_000
        assert member.violation == 0


def test_no_founder_trained_is_an_error_that_says_what_to_do():
    with pytest.raises(StarError, match=r"8 diverged.*no founder could be trained.*learning_rate"):
        evolve(experiment(), 0, failing=256)


def test_a_search_space_too_small_for_the_population_is_an_error():
    with pytest.raises(ConfigError, match="only 3 different founders"):
        evolve(experiment(space={"preset": "lfm2", "depth": 1}), 0)


def test_a_small_space_runs_out_of_offspring_without_hanging():
    problem = experiment(space={"preset": "lfm2", "depth": 1}, evolution={"population": 2, "offspring": 4})
    assert len(offspring_of(problem, evolve(problem, 0, failing=0)[0])) == 1


def test_the_same_generation_in_another_process_and_hash_seed():
    program = (
        "from tests.evolution.experiments import evolve, experiment;print(evolve(experiment(), 3)[-1].digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert digests == {evolve(experiment(), 3)[-1].digest + "\n"}


def test_the_search_half_needs_no_torch():
    program = (
        "import sys; from tests.evolution.experiments import evolve, experiment; evolve(experiment(), 1);"
        "import star_core.cli, star_core.analysis.report.report;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'prefect', 'dvc')))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_selection_does_not_depend_on_the_order_in_which_candidates_end():
    problem = experiment()
    generations = evolve(problem, 2)
    parent, child = generations[1], generations[2]
    reordered = select(problem, "test", parent, tuple(reversed(child.born)), DATA)
    assert {member.id for member in reordered.population} == {member.id for member in child.population}


def test_unknown_names_are_errors_with_a_choice():
    with pytest.raises(ConfigError, match="nsga2"):
        algorithm("nsga4")
    with pytest.raises(StarError, match=r"evolution.seeds, 'z1111'"):
        founders(experiment(evolution={"seeds": ["z1111"]}))
    with pytest.raises(ConfigError, match="at most as many seeds as individuals"):
        founders(experiment(evolution={"population": 2, "seeds": ["transformer++", "striped-hybrid"] * 2}))
    with pytest.raises(ConfigError, match="8 LIVs"):
        founders(experiment(evolution={"seeds": ["11111"]}))


def test_another_experiment_is_refused_and_the_key_named():
    generation = evolve(experiment(), 0)[0]
    other = experiment(evolution={"population": 6})
    with pytest.raises(StarError, match=r"params.yaml, evolution.population: 6: .* made with 8"):
        check_same_experiment(generation, other.params, DATA, "params.yaml")
    with pytest.raises(StarError, match="corpus"):
        check_same_experiment(generation, experiment().params, "e" * 64, "params.yaml")
    check_same_experiment(
        generation, experiment(generations=9, runtime={"workers": 1}).params, DATA, "params.yaml"
    )
