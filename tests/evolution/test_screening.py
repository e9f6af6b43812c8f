"""Which offspring a predictor picks, from what it knows and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from star_core.evolution.predictor import features, fit
from star_core.evolution.screening import is_screening
from star_core.evolution.step import offspring_of
from star_core.genome import Genome, SearchSpace
from star_core.population.generation import Generation, read_generation
from tests.evolution.experiments import evolve, experiment

SCREENING = {"factor": 4, "minimum": 12, "explore": 0.25}


def test_a_ridge_regression_finds_a_linear_law_and_leaves_one_out_honestly():
    rng = np.random.default_rng(0)
    rows, noise = rng.normal(size=(60, 8)), 0.05 * rng.normal(size=60)
    law = np.array([1.0, -2.0, 0.5, 0, 0, 0, 0, 0])
    values = np.exp(rows @ law + 3 + noise)
    model = fit(rows[:50], values[:50])
    assert np.corrcoef(np.log(model.predict(rows[50:])), np.log(values[50:]))[0, 1] > 0.99
    # The shortcut for the left-out prediction is the prediction of a regression without it.
    X = (rows[:50] - model.center) / model.scale
    for left in (0, 17, 49):
        keep = np.arange(50) != left
        y = np.log(values[:50])[keep]
        design = np.column_stack([np.ones(49), X[keep]])
        penalty = model.penalty * np.diag([0.0] + [1.0] * 8)
        weights = np.linalg.solve(design.T @ design + penalty, design.T @ y)
        assert model.held_out[left] == pytest.approx(weights[0] + X[left] @ weights[1:], abs=1e-9)


def test_pure_noise_is_not_learned():
    rng = np.random.default_rng(1)
    rows, values = rng.normal(size=(40, 10)), np.exp(rng.normal(size=40))
    assert abs(fit(rows, values).weights).max() < 0.2


def test_features_tell_architectures_apart_whatever_the_names_of_their_groups():
    problem = experiment()
    rng = np.random.default_rng(0)
    space = SearchSpace.preset("paper")
    seen = {tuple(features(problem.compile(space.sample(rng)), 256, space.structures)) for _ in range(40)}
    assert len(seen) == 40
    same = [Genome.parse(text) for text in ("11112-11113", "11122-11123")]
    first, other = (features(problem.compile(genome), 256, space.structures) for genome in same)
    assert np.array_equal(first, other)


def test_screened_offspring_are_a_function_of_the_stored_parent(tmp_path):
    problem = experiment(evolution={"population": 8, "screening": SCREENING})
    assert is_screening(problem)
    made = evolve(problem, 3, failing=0)
    assert [len(generation.archive) for generation in made] == [8, 16, 24, 32]
    path = tmp_path / "gen_003.json"
    made[3].write(path)
    again = offspring_of(problem, read_generation(path))
    assert again == offspring_of(problem, made[3])
    assert [offspring.id for offspring in again] == [f"g004-0{slot}" for slot in range(8)]
    assert len({offspring.digest for offspring in again}) == 8


def test_before_there_is_enough_to_learn_from_nothing_is_screened():
    plain, screening = (
        experiment(evolution={"population": 8, **({"screening": SCREENING} if on else {})}) for on in (0, 1)
    )
    (parent,) = evolve(screening, 0, failing=0)
    assert offspring_of(screening, parent) == offspring_of(plain, parent)


def test_with_the_predictor_the_same_number_of_trainings_finds_better_ones():
    def best(section):
        problem = experiment(objectives={"preset": "quality"}, evolution={"population": 8, **section})
        values = [member.objectives["perplexity"] for member in evolve(problem, 5, failing=0)[-1].population]
        return float(np.mean(values))

    plain = np.mean([best({"seed": seed}) for seed in range(3)])
    screened = np.mean([best({"seed": seed, "screening": SCREENING}) for seed in range(3)])
    assert screened < plain


def test_an_archive_is_absent_where_nobody_learns_and_old_files_are_whole():
    (generation,) = evolve(experiment(), 0)
    assert generation.archive is None
    assert b"archive" not in generation.to_bytes()
    assert Generation.VERSION == 1
