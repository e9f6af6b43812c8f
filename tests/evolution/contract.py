"""What every evolutionary algorithm promises: parametrise a subclass of ``AlgorithmContract`` by its name."""

import itertools
import json
import math
import random
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core.config import digest_json
from star_core.evolution.base import algorithm
from star_core.evolution.step import offspring_of
from star_core.genome import Genome
from star_core.population.individual import Cost, Individual, Origin, individual_id
from tests.evolution.experiments import evolve, experiment

FOUR = ["a", "b", "c", "d"]
NUMBERS = (0, 1, 2, 1e-9, 1e7, -1, -2, -1e-9, -1e7, 1e100, -1e100, 2.3e-308, -2.3e-308)
"""Values of every sign and scale, with many ties."""

PROGRAM = """
import json, sys
from tests.evolution.contract import bytes_of
print(json.dumps({name: bytes_of(name) for name in sys.argv[1:]}))
"""


def problem_of(name, objectives=("perplexity", "parameters", "cache_bytes"), **evolution):
    return experiment(
        evolution={"algorithm": name, "population": 5, **evolution}, objectives={"names": list(objectives)}
    )


def individual(slot, values, names, born=0, violation=0.0, parents=()):
    """A candidate of these objective values; ``None``: its training failed."""
    ok = values is not None
    return Individual(
        id=individual_id(born, slot),
        genome="11111",
        digest=f"{1000 * born + slot:064x}",
        parents=tuple(parents),
        origin=Origin(operator="variation" if parents else "random"),
        key=f"{slot:064x}",
        status="ok" if ok else "diverged",
        objectives=dict(zip(names, map(float, values), strict=True)) if ok else dict.fromkeys(names),
        violation=violation,
        cost=Cost(tokens=1, flops=1),
    )


def bytes_of(name):
    """Digest of all that a short search with one objective and one with three made."""
    told = []
    for objectives in (("perplexity",), ("perplexity", "parameters", "cache_bytes")):
        problem = problem_of(name, objectives)
        for generation in evolve(problem, 3):
            told.append(
                [member.model_dump(mode="json") for member in (*generation.population, *generation.rejected)]
            )
            told.append(
                [offspring.model_dump(mode="json") for offspring in offspring_of(problem, generation)]
            )
    return digest_json(told)


@st.composite
def candidates(draw):
    """Names of objectives and parents and offspring of all kinds, with many ties."""
    names = FOUR[: draw(st.integers(1, 4))]
    made = []
    for slot in range(draw(st.integers(2, 14))):
        born = 1 if slot and draw(st.booleans()) else 0
        parents = (draw(st.sampled_from([member.id for member in made])),) if born else ()
        failed = draw(st.integers(0, 4)) == 0
        values = None if failed else [draw(st.sampled_from(NUMBERS)) for _ in names]
        violation = draw(st.sampled_from((0.0, 0.0, 0.0, 0.5, 2.0)))
        made.append(individual(slot, values, names, born, violation, parents))
    return names, made


def feasible(member):
    return member.ok and member.violation == 0


def dominates(better, worse):
    """Nowhere worse and somewhere better, everything being minimised: by the definition, not by pymoo."""
    return tuple(better) != tuple(worse) and all(x <= y for x, y in zip(better, worse, strict=True))


def values(member, names):
    return tuple(member.objectives[name] for name in names)


class AlgorithmContract:
    """Tests of one algorithm, by its name.

    Attributes:
        replaces: Algorithms that may give up a better candidate for a worse one that is new.
        forgets: Algorithms that may even give up the best.
    """

    replaces = ("genetic", "firefly")
    forgets: tuple[str, ...] = ()

    def test_the_same_input_gives_the_same_bytes_here_and_in_another_process(self, name, elsewhere):
        assert bytes_of(name) == bytes_of(name) == elsewhere[name]

    def test_random_numbers_come_from_the_problem_only(self, name, monkeypatch):
        problem, made = problem_of(name), np.random.default_rng
        parent = evolve(problem, 1)[-1]
        many = [
            individual(slot, [slot % 3, -slot % 5, 1], problem.params.objectives.selected)
            for slot in range(9)
        ]

        def seeded(seed=None):
            assert seed is not None, "a generator of its own"
            return made(seed)

        monkeypatch.setattr(np.random, "default_rng", seeded)
        before = json.dumps([random.getstate(), str(np.random.get_state())])  # noqa: NPY002
        offspring_of(problem, parent)
        algorithm(name).survive(problem, many, 1)
        assert json.dumps([random.getstate(), str(np.random.get_state())]) == before  # noqa: NPY002

    def test_another_seed_makes_other_offspring(self, name):
        made = [evolve(problem_of(name, seed=seed), 1)[-1] for seed in (0, 1)]
        assert {child.genome for child in made[0].born} != {child.genome for child in made[1].born}

    def test_offspring_are_as_many_as_asked_for_valid_and_new(self, name):
        for population, offspring in ((2, 1), (2, 5), (6, 6), (6, 3)):
            problem = problem_of(name, population=population, offspring=offspring)
            generations = evolve(problem, 3, failing=0)
            for parent, child in itertools.pairwise(generations):
                known = {member.digest for member in (*parent.population, *parent.rejected)}
                digests = {member.digest for member in child.born}
                assert len(child.born) == len(digests) == offspring
                assert not digests & known
                assert [member.id for member in child.born] == [
                    individual_id(child.index, n) for n in range(offspring)
                ]
                alive = {member.id for member in parent.population}
                for member in child.born:
                    problem.space.validate(Genome.parse(member.genome))
                    assert set(member.parents) <= alive

    def test_no_architecture_is_twice_in_a_population(self, name):
        for generation in evolve(problem_of(name, offspring=9), 4):
            digests = [member.digest for member in generation.population]
            assert len(set(digests)) == len(digests) == 5

    def test_with_one_objective_the_best_is_never_lost(self, name):
        best = [
            generation.population[0].objectives["perplexity"]
            for generation in evolve(problem_of(name, ("perplexity",)), 6)
        ]
        assert best == sorted(best, reverse=True) or name in self.forgets
        assert min(best) < best[0]

    @settings(max_examples=40, deadline=None)
    @given(given=candidates(), size=st.integers(2, 8))
    def test_survivors_whatever_the_candidates(self, name, given, size):
        names, made = given
        problem = problem_of(name, names, population=size)
        population = algorithm(name).survive(problem, made, 1)
        survivors = {member.id for member in population}
        lost = [member for member in made if member.id not in survivors]
        assert len(population) == len(survivors) == min(size, len(made))

        # Nothing but rank and crowding is changed.
        given_as = {member.id: member.model_copy(update={"rank": None, "crowding": None}) for member in made}
        assert all(
            member.model_copy(update={"rank": None, "crowding": None}) == given_as[member.id]
            for member in population
        )

        # No feasible one is lost for one that is not, none that was trained for one that was not.
        if any(map(feasible, lost)):
            assert all(map(feasible, population))
        if any(member.ok for member in lost):
            assert all(member.ok for member in population)

        # Rank is the front among the feasible survivors; a front's ends have no crowding; best come first.
        alive = [member for member in population if feasible(member)]
        for member in alive:
            better = [other for other in alive if dominates(values(other, names), values(member, names))]
            assert member.rank == max((other.rank + 1 for other in better), default=0)
            assert member.crowding is None or math.isfinite(member.crowding)
        order = [(not member.ok, member.violation, member.rank) for member in population]
        assert order == sorted(order)

        if name not in self.replaces:
            for member in filter(feasible, lost):
                assert not any(dominates(values(member, names), values(other, names)) for other in alive)
        if len(names) == 1 and alive:
            assert values(alive[0], names) == min(
                values(member, names) for member in made if feasible(member)
            )
        if name != "nsga2":  # its order of equals is that of generations already stored
            assert algorithm(name).survive(problem, list(reversed(made)), 1) == population

    def test_equal_candidates_are_no_trouble(self, name):
        for names in (FOUR[:1], FOUR[:2], FOUR):
            made = [individual(slot, [3] * len(names), names) for slot in range(9)]
            population = algorithm(name).survive(problem_of(name, names), made, 0)
            assert [member.rank for member in population] == [0] * 5

    def test_one_that_could_be_trained_leads_those_that_could_not(self, name):
        made = [individual(slot, [1, 2] if slot == 7 else None, FOUR[:2]) for slot in range(8)]
        problem = problem_of(name, FOUR[:2])
        population = algorithm(name).survive(problem, made, 0)
        assert population[0].id == individual_id(0, 7)
        assert [member.rank for member in population if member.ok] == [0]
        assert all(member.rank for member in population if not member.ok)

    def test_founders_that_all_violate_a_constraint_are_a_beginning(self, name):
        problem = experiment(
            evolution={"algorithm": name, "population": 6, "seed": 5},
            objectives={"preset": "quality", "constraints": {"parameters": 112_000}},
        )
        generations = evolve(problem, 8, failing=0)
        least = [min(member.violation for member in generation.population) for generation in generations]
        assert least[0] > 0
        assert not generations[0].front
        assert least == sorted(least, reverse=True)
        assert least[-1] < least[0]

    def test_a_space_without_anything_new_yields_fewer_offspring(self, name):
        problem = experiment(
            space={"preset": "lfm2", "depth": 1},
            evolution={"algorithm": name, "population": 2, "offspring": 4},
        )
        assert len(offspring_of(problem, evolve(problem, 0, failing=0)[0])) == 1


def run_elsewhere(names):
    """``bytes_of`` each name in a fresh interpreter with another hash seed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names],
        env={"PYTHONHASHSEED": "7", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
