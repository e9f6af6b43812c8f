import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core import SearchSpace, compile_genome
from star_core.errors import ConfigError, GenomeError
from star_core.genome import PRESETS, Genome, canonical
from star_core.genome.space import reading_space
from star_core.structures import class_table
from star_core.vocabulary.tables import BACKBONE_GENES
from tests.genome.contract import assert_repaired, canonical_form, problems_of, replayed
from tests.genome.strategies import any_genome, seeds

PAPER = SearchSpace.preset("paper")


@given(seeds, st.sampled_from(sorted(PRESETS)), st.integers(1, 24), st.integers(1, 8))
def test_samples_are_valid_and_of_the_space(seed, name, depth, groups):
    space = SearchSpace.preset(name, depth, groups)
    genome = space.sample(np.random.default_rng(seed))
    space.validate(genome)
    assert genome.depth == depth
    assert {liv.liv_class for liv in genome.livs} <= set(space.classes)


@given(any_genome, seeds)
def test_repair_is_total_and_reports_exactly_what_it_changed(genome, seed):
    repaired, changes = PAPER.repair(genome, np.random.default_rng(seed))
    PAPER.validate(repaired)
    assert Genome.from_vector(replayed(genome.to_vector(), changes)) == repaired
    assert bool(changes) == (not PAPER.is_valid(genome))


@given(any_genome, seeds)
def test_repair_of_a_valid_genome_changes_and_draws_nothing(genome, seed):
    rng = np.random.default_rng(seed)
    repaired, _ = PAPER.repair(genome, rng)
    assert_repaired(PAPER, repaired, rng)


@given(any_genome)
def test_validate_finds_the_first_problem_and_names_position_rule_and_fix(genome):
    for problem in problems_of(PAPER, genome):
        assert BACKBONE_GENES[problem.position % 5].name in problem.place


def test_a_fix_that_names_a_group_makes_the_position_valid():
    genome = Genome.parse("51112-11112")
    with pytest.raises(GenomeError, match="use group 2") as caught:
        PAPER.validate(genome)
    vector = genome.to_vector()
    vector[caught.value.position] = 2
    PAPER.validate(Genome.from_vector(vector))


@settings(max_examples=200)
@given(seeds, st.integers(1, 16))
def test_the_canonical_form_is_idempotent_and_compiles_to_the_same_architecture(seed, depth):
    space = SearchSpace.preset("paper", depth)
    canonical_form(space, space.sample(np.random.default_rng(seed)))


@given(seeds)
def test_renaming_sharing_groups_changes_neither_canonical_form_nor_digest(seed):
    rng = np.random.default_rng(seed)
    genome = PAPER.sample(rng)
    names = rng.permutation(PAPER.groups) + 1
    vector = genome.to_vector()
    vector[3::5] = names[vector[3::5] - 1]
    vector[1::5] = names[vector[1::5] - 1]
    renamed = Genome.from_vector(vector)
    assert canonical(renamed) == canonical(genome)
    assert compile_genome(renamed, PAPER, 64).digest == compile_genome(genome, PAPER, 64).digest


def test_features_come_from_the_earliest_member_not_from_the_latest():
    # GConv-2 may take the gate of GConv-1, which stays the owner: its filter fits no GConv-2.
    PAPER.validate(Genome.parse("71112-81113"))
    with pytest.raises(GenomeError, match="GConv-2 cannot reuse these features of GConv-1"):
        PAPER.validate(Genome.parse("71112-81113-81115"))


def test_the_owners_own_strategy_names_nothing_and_is_not_told_apart():
    genome, other = Genome.parse("11112-11113"), Genome.parse("11114-11113")
    assert canonical(genome) == canonical(other) == genome
    assert compile_genome(genome, PAPER, 64).digest == compile_genome(other, PAPER, 64).digest


def test_unknown_presets_and_sizes_are_errors_with_a_choice():
    with pytest.raises(ConfigError, match="did you mean 'paper'"):
        SearchSpace.preset("papr")
    with pytest.raises(ConfigError, match="depth is an integer from 1 to 256"):
        SearchSpace.preset("paper", depth=0)


def test_whoever_builds_a_genome_knows_every_numbered_class():
    assert reading_space().classes == reading_space("paper").classes == class_table()
