"""The preset ``full`` and variable depth: variation of genomes whose classes and length evolve."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core.analysis.terminal.explain import find_architecture
from star_core.config import Params
from star_core.errors import ConfigError, StarError
from star_core.evolution.base import ALGORITHMS, founders
from star_core.evolution.class_links import keep_classes
from star_core.evolution.resizing import resize
from star_core.evolution.step import adopted, offspring_of
from star_core.genome import Genome, SearchSpace
from star_core.genome.class_names import is_named
from star_core.population.generation import check_individuals, generation_path, read_generation
from star_core.vocabulary.tables import GENES_PER_LIV
from tests.evolution.experiments import evolve, experiment

SPACES = {
    "full": {"preset": "full", "depth": 5, "classes": 4},
    "varying": {"depth": 7, "min_depth": 2},
    "both": {"preset": "full", "depth": 6, "min_depth": 3, "classes": 3},
}
LEVELS = ("genes", "livs", "links")


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS.names()))
@pytest.mark.parametrize("space", SPACES)
def test_every_algorithm_makes_valid_new_offspring_that_say_how(algorithm, space):
    problem = experiment(space=SPACES[space], evolution={"algorithm": algorithm, "population": 6})
    for parent, child in itertools.pairwise(evolve(problem, 2)):
        check_individuals(child, "here", "")
        known = {member.digest for member in (*parent.population, *parent.rejected)}
        assert len({member.digest for member in child.born} | known) == len(child.born) + len(known)
        for member in child.born:
            genome = Genome.parse(member.genome)
            problem.space.validate(genome)
            assert str(genome) == member.genome
            assert problem.compile(genome).digest == member.digest
            touched = {*member.origin.mutations, *(repair.position for repair in member.origin.repairs)}
            assert all(problem.space.layout.place(position) for position in touched)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(LEVELS[:2]))
def test_between_cuts_everything_untouched_comes_from_one_parent(seed, level):
    evolution = {"seed": seed, "mutation_rate": 0.3, "crossover": level, "population": 6}
    problem = experiment(space=SPACES["full"], evolution=evolution)
    layout, parent = problem.space.layout, evolve(problem, 1)[-1]
    genomes = {member.id: layout.encode(Genome.parse(member.genome)) for member in parent.population}
    for offspring in offspring_of(problem, parent):
        if offspring.origin.operator != "variation":
            continue
        vector = layout.encode(Genome.parse(offspring.genome))
        touched = {*offspring.origin.mutations, *(repair.position for repair in offspring.origin.repairs)}
        for start, end in itertools.pairwise([0, *offspring.origin.crossover_points, layout.size]):
            # Integers of roles that a class lacks mean nothing and are not kept.
            assert any(
                all(
                    vector[position] == genomes[name][position]
                    for position in range(start, end)
                    if position not in touched
                    and problem.space.choices(vector, position)
                    and problem.space.choices(genomes[name], position)
                )
                for name in offspring.parents
            )


def test_a_stored_individual_is_read_and_found_again(tmp_path):
    problem = experiment(space=SPACES["both"], evolution={"population": 4})
    for generation in evolve(problem, 1, run="own"):
        path = generation_path("own", generation.index, tmp_path)
        generation.write(path)
        assert read_generation(path, "own", generation.index) == generation
        for member in generation.population:
            found = find_architecture(f"own:{member.id}", tmp_path, Params())
            assert (str(found.genome), found.digest) == (member.genome, member.digest)
            assert find_architecture(member.genome, tmp_path, problem.params).digest == member.digest


def test_a_run_invents_classes_and_keeps_founders_mostly_named():
    problem = experiment(
        space={"preset": "full", "depth": 4}, evolution={"population": 12, "mutation_rate": 0.3}
    )
    generations = evolve(problem, 5)

    def share(individuals):
        table = [entry for member in individuals for entry in Genome.parse(member.genome).table]
        return sum(not is_named(entry) for entry in table) / len(table)

    assert 0.1 < share(generations[0].born) < 0.4
    assert share(generations[-1].population) > share(generations[0].born)


def test_classes_evolve_only_in_the_preset_full():
    for preset in ("paper", "extended", "lfm2", "attention"):
        problem = experiment(space={"preset": preset}, evolution={"mutation_rate": 0.5})
        assert not any(
            "_" in member.genome for generation in evolve(problem, 1) for member in generation.born
        )


def test_seeds_and_populations_of_other_spaces_are_adopted():
    seeds = ["transformer++", "11112-91111-51122-91111-11112-91111-51122-91111"]
    problem = experiment(space={"preset": "full"}, evolution={"seeds": seeds})
    made = founders(problem)
    plain = experiment(evolution={"seeds": seeds})
    assert [founder.digest for founder in made[:2]] == [founder.digest for founder in founders(plain)[:2]]
    for founder in made:
        problem.space.validate(Genome.parse(founder.genome))
    paper = evolve(experiment(space={"preset": "lfm2"}), 1)[-1]
    fork = adopted(problem, paper)
    assert {founder.id: founder.digest for founder in fork} == {
        member.id: member.digest for member in paper.population
    }
    for founder in fork:
        problem.space.validate(Genome.parse(founder.genome))
    with pytest.raises(StarError, match="brings no classes of its own"):
        adopted(experiment(), evolve(problem, 0)[0])


def test_a_seed_of_too_many_classes_or_livs_is_refused():
    with pytest.raises(StarError, match=r"evolution.seeds.*space.classes to 3"):
        founders(
            experiment(
                space={"preset": "full", "depth": 3, "classes": 2}, evolution={"seeds": ["11111-51111-91111"]}
            )
        )
    with pytest.raises(ConfigError, match="3 to 4 LIVs"):
        founders(experiment(space={"depth": 4, "min_depth": 3}, evolution={"seeds": ["11111-91111"]}))
    with pytest.raises(StarError, match="min_depth is at most depth"):
        experiment(space={"depth": 4, "min_depth": 5})


# Crossover that keeps classes


@given(st.integers(0, 2**32), st.integers(1, 5))
def test_livs_keep_the_class_of_their_parent_while_there_are_places(seed, classes):
    rng = np.random.default_rng(seed)
    space = SearchSpace.preset("full", 6, classes=classes, novelty=0.5)
    layout = space.layout
    parents = tuple(layout.encode(space.sample(rng)) for _ in range(2))
    sources = rng.integers(2, size=6).tolist()
    swapped = np.repeat(sources, GENES_PER_LIV).astype(bool)
    tail = rng.integers(2, size=classes).repeat(34).astype(bool)
    child = np.where(np.concatenate([swapped, tail]), parents[1], parents[0])
    kept = keep_classes(space, child, parents, sources)

    def meant(vector, index):
        genome = layout.decode(vector)
        return space.reading(genome).classes[genome.livs[index].liv_class]

    wanted = [meant(parents[source], index) for index, source in enumerate(sources)]
    got = [meant(kept, index) for index in range(6)]
    if len({(entry.operator, entry.featurizer) for entry in wanted}) <= classes:
        assert got == wanted
    assert [liv_class.differential for liv_class in got] == [liv_class.differential for liv_class in wanted]
    assert got[0] == wanted[0]
    unchanged = [p for p in range(layout.backbone) if p % GENES_PER_LIV]
    assert (kept[unchanged] == child[unchanged]).all()


def test_equal_parents_have_equal_children_and_plain_spaces_nothing_to_keep():
    space, rng = SearchSpace.preset("full", 6), np.random.default_rng(0)
    vector = space.layout.encode(space.sample(rng))
    assert (keep_classes(space, vector, (vector, vector), [0, 1] * 3) == vector).all()
    paper = SearchSpace.preset("paper", 6)
    vector = paper.sample(rng).to_vector()
    assert keep_classes(paper, vector, (vector, vector), [0] * 6) is vector


@pytest.mark.parametrize("level", LEVELS)
def test_crossover_with_links_keeps_classes_and_the_others_do_not(level):
    problem = experiment(
        space={"preset": "full", "depth": 4},
        evolution={"population": 24, "crossover": level, "mutation_rate": 0.0, "crossover_rate": 1.0},
    )
    parent = evolve(problem, 0, failing=0)[0]

    def meanings(text):
        genome = Genome.parse(text)
        classes = problem.space.reading(genome).classes
        return [classes[liv.liv_class] for liv in genome.livs]

    held = {member.id: meanings(member.genome) for member in parent.population}
    kept = [
        entry in {held[name][index] for name in offspring.parents}
        for offspring in offspring_of(problem, parent)
        for index, entry in enumerate(meanings(offspring.genome))
        if offspring.parents
    ]
    assert len(kept) > 40
    assert all(kept) == (level == "links")


def test_a_firefly_follows_a_class_as_a_whole():
    layout, rng = SearchSpace.preset("full", 2, classes=3).layout, np.random.default_rng(0)
    chosen = rng.random(layout.size) < 0.5
    together = layout.together(chosen)
    assert (together[: layout.backbone] == chosen[: layout.backbone]).all()
    for number in range(3):
        start = layout.class_start(number)
        assert set(together[start : start + 34]) == {chosen[start]}


def test_links_survive_with_their_classes():
    kept = {}
    for level in LEVELS:
        problem = experiment(
            space={"preset": "full", "depth": 8},
            evolution={"population": 24, "crossover": level, "mutation_rate": 0.0, "crossover_rate": 1.0},
        )
        made = offspring_of(problem, evolve(problem, 0, failing=0)[0])
        varied = [offspring for offspring in made if offspring.origin.operator == "variation"]
        kept[level] = np.mean([bool(offspring.origin.repairs) for offspring in varied])
    assert kept["links"] < kept["livs"]


# Depth


def test_depths_of_founders_are_uniform_and_fixed_by_default():
    rng, space = np.random.default_rng(0), SearchSpace.preset("paper", 6, min_depth=3)
    depths = [space.sample(rng).depth for _ in range(800)]
    assert set(depths) == {3, 4, 5, 6}
    assert all(150 < depths.count(depth) < 250 for depth in (3, 4, 5, 6))
    assert {SearchSpace.preset("paper", 6).sample(rng).depth for _ in range(50)} == {6}


@given(st.integers(0, 2**32), st.sampled_from(["paper", "full"]))
def test_a_vector_has_a_place_for_each_liv_that_may_be(seed, preset):
    space = SearchSpace.preset(preset, 6, min_depth=2, classes=3)
    genome = space.sample(np.random.default_rng(seed))
    vector = space.layout.encode(genome)
    assert len(vector) == space.layout.size
    assert space.layout.decode(vector) == genome
    gap = vector.copy()
    gap[GENES_PER_LIV : 2 * GENES_PER_LIV] = 0
    assert space.layout.decode(gap).livs == (genome.livs[0], *genome.livs[2:])
    assert (space.layout.closed(vector) == vector).all()


@given(st.integers(0, 2**32))
def test_a_liv_is_inserted_or_deleted_and_the_others_stay(seed):
    rng = np.random.default_rng(seed)
    space = SearchSpace.preset("full", 5, min_depth=2, classes=3)
    genome = space.sample(rng)
    vector, positions = resize(space, space.layout.encode(genome), 1.0, rng)
    after = space.layout.decode(vector)
    place = positions[0] // GENES_PER_LIV
    assert after.table == genome.table
    if after.depth > genome.depth:
        assert positions == tuple(range(positions[0], positions[0] + GENES_PER_LIV))
        assert (*after.livs[:place], *after.livs[place + 1 :]) == genome.livs
    else:
        assert (*genome.livs[:place], *genome.livs[place + 1 :]) == after.livs
    assert after.depth in space.depths
    assert abs(after.depth - genome.depth) == 1
    repaired, _ = space.repair(after, rng)
    space.validate(repaired)


def test_depth_reaches_its_bounds_and_stays_within():
    problem = experiment(
        space={"depth": 5, "min_depth": 2}, evolution={"population": 20, "mutation_rate": 0.3}
    )
    generations = evolve(problem, 4, failing=0)
    depths = {Genome.parse(member.genome).depth for member in generations[-1].born}
    assert depths == {2, 3, 4, 5}
    changed = [
        member
        for generation in generations[1:]
        for member in generation.born
        if len(member.parents) == 1
        and Genome.parse(member.genome).depth != Genome.parse(known(generations, member.parents[0])).depth
    ]
    assert changed


def known(generations, name):
    return next(
        member.genome
        for generation in generations
        for member in (*generation.population, *generation.rejected)
        if member.id == name
    )


def test_a_fixed_depth_draws_nothing_for_it():
    space, rng = SearchSpace.preset("paper"), np.random.default_rng(0)
    vector, before = space.sample(rng).to_vector(), rng.bit_generator.state
    assert resize(space, vector, 1.0, rng) == (vector, ())
    assert rng.bit_generator.state == before


def test_keys_younger_than_stored_generations_are_in_the_identity_only_when_they_are_set():
    defaults = experiment().params.identity()["space"]
    assert set(defaults) == {"preset", "depth", "groups"}
    for key, value in {"classes": 9, "novelty": 0.5, "class_mutation": 2.0, "min_depth": 3}.items():
        assert experiment(space={key: value}).params.identity()["space"][key] == value
