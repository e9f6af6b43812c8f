"""The preset ``full``: founders, repair and mutation of genomes that bring their own classes."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core import Genome, SearchSpace, compile_genome
from star_core.errors import ConfigError, GenomeError
from star_core.genome.class_genome import PAPER_GENES
from star_core.genome.class_names import is_named
from star_core.vocabulary.tables import MAX_OWN_CLASSES
from tests.genome.contract import assert_repaired, problems_of, replayed
from tests.genome.own_classes import any_own_genome, any_vector
from tests.genome.strategies import seeds

FULL = SearchSpace.preset("full")
SMALL = SearchSpace.preset("full", depth=4, classes=3)


@given(seeds, st.integers(1, 12), st.integers(1, MAX_OWN_CLASSES), st.sampled_from([0.0, 0.3, 1.0]))
def test_samples_are_valid_and_round_trip_as_vectors(seed, depth, classes, novelty):
    space = SearchSpace.preset("full", depth, classes=classes, novelty=novelty)
    genome = space.sample(np.random.default_rng(seed))
    space.validate(genome)
    assert (genome.depth, len(genome.table)) == (depth, classes)
    vector = space.layout.encode(genome)
    assert len(vector) == space.layout.size
    assert space.layout.decode(vector) == genome


def test_founders_hold_named_classes_in_the_order_of_the_table_and_some_new_ones():
    rng, order = np.random.default_rng(0), FULL.named
    tables = [FULL.sample(rng).table for _ in range(200)]
    share = np.mean([not is_named(entry) for table in tables for entry in table])
    assert share == pytest.approx(0.25, abs=0.03)
    for table in tables:
        places = [order.index(entry) for entry in table if entry in order]
        assert places == sorted(set(places))
    assert Counter(is_named(e) for e in SearchSpace.preset("full", novelty=0.0).sample(rng).table) == {
        True: 8
    }


@settings(max_examples=60)
@given(seeds)
def test_any_vector_in_range_is_repaired_to_a_genome_that_compiles(seed):
    rng = np.random.default_rng(seed)
    vector = any_vector(SMALL, rng)
    genome = SMALL.layout.decode(vector)
    problems = list(SMALL.problems(genome))
    repaired, changes = SMALL.repair(genome, rng)
    SMALL.validate(repaired)
    assert bool(problems) == bool(changes)
    assert SMALL.layout.decode(replayed(SMALL.layout.encode(genome), changes)) == repaired
    assert all(SMALL.layout.place(change.position) for change in changes)
    assert_repaired(SMALL, repaired, rng)
    for width in (16, 64):
        assert compile_genome(repaired, SMALL, width).num_parameters > 0


@settings(max_examples=60)
@given(any_own_genome(classes=3, depth=4))
def test_validate_finds_the_first_problem_and_names_position_rule_and_fix(genome):
    for problem in problems_of(SMALL, genome):
        assert SMALL.layout.place(problem.position) == problem.place


def test_an_invalid_class_is_a_problem_of_its_positions_even_if_no_liv_uses_it():
    space = SearchSpace.preset("full", 1, classes=2)
    genome = Genome.parse("11111_12123_02123-112211-111211-111211")
    problems = list(space.problems(genome))
    assert [problem.position for problem in problems] == [5 + PAPER_GENES.size + 4 + 2]
    assert str(problems[0]).startswith(
        "genome, class 2 of its own, group C, gene 3 (nonlinearity): '2': softmax"
    )
    assert not space.is_valid(genome)
    # To be built, only the classes it uses have to be valid.
    assert compile_genome(genome, space, 64).num_parameters > 0


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"depth": 4, "min_depth": 5}, "min_depth is an integer from 1 to 4"),
        ({"min_depth": 0}, "space.min_depth: 0"),
        ({"classes": 18}, "classes is an integer from 1 to 17"),
    ],
)
def test_a_space_that_cannot_be_is_refused_with_a_size_that_can(sizes, message):
    with pytest.raises(ConfigError, match=message):
        SearchSpace.preset("full", **sizes)


def test_repair_re_samples_uniformly_over_what_is_valid():
    # Softmax on features: 1, 3 and 4 are valid instead.
    genome = Genome.parse("11111_02123-112211-111211-111211")
    space, rng = SearchSpace.preset("full", 1, classes=1), np.random.default_rng(0)
    drawn = Counter(
        space.repair(genome, rng)[0].table[0].featurizer.groups[0].nonlinearity for _ in range(600)
    )
    assert set(drawn) == {1, 3, 4}
    assert all(160 < count < 240 for count in drawn.values())


def test_a_norm_of_features_is_read_and_built_but_in_no_class_of_this_space():
    genome = SearchSpace.preset("full", 1, classes=1).adopt(Genome.parse("q1111"))
    assert str(genome) == "11111_b2123"
    with pytest.raises(GenomeError, match=r"nonlinearity.*: '5': the space admits.*1, 3, 4.*for group C"):
        SearchSpace.preset("full", 1, classes=1).validate(genome)
    plain = compile_genome(Genome.parse("q1111"), SearchSpace.preset("lfm2-norm"), 64)
    assert compile_genome(genome, FULL, 64).digest == plain.digest


def test_spaces_refuse_each_others_genomes_and_say_how_to_go_on():
    plain, own = Genome.parse("11111-91111"), Genome.parse("11111-91111_12123_73111_91142_12133_54111")
    with pytest.raises(GenomeError, match=r"'paper' brings no classes.*space.preset to full.*classes: 5"):
        SearchSpace.preset("paper").validate(own)
    with pytest.raises(GenomeError, match=r"'full' brings 8 classes of its own"):
        FULL.validate(plain)
    with pytest.raises(GenomeError, match="brings 8 classes"):
        FULL.repair(own, np.random.default_rng(0))


@settings(max_examples=20)
@given(seeds)
def test_choices_are_other_alleles_valid_by_themselves(seed):
    rng = np.random.default_rng(seed)
    vector = FULL.layout.encode(FULL.sample(rng))
    active = FULL.rates(vector, 0.1) > 0
    for position in range(FULL.layout.size):
        choices = FULL.choices(vector, position)
        if position >= FULL.layout.backbone:
            assert (len(choices) > 1) == active[position]
            assert not choices or vector[position] in choices
        for allele in choices[: position % 7 == seed % 7]:
            changed = FULL.layout.decode(FULL.mutated(vector, position, allele))
            assert Genome.parse(str(changed)) == changed


def test_a_class_is_expected_to_mutate_as_often_as_a_gene():
    vector = FULL.layout.encode(FULL.sample(np.random.default_rng(0)))
    rates = FULL.rates(vector, 0.2)
    assert (rates[:40] == 0.2).all()
    for number in range(8):
        start = FULL.layout.class_start(number)
        assert math.isclose(rates[start : start + PAPER_GENES.size].sum(), 0.2)
    often = SearchSpace.preset("full", class_mutation=5.0).rates(vector, 0.2)
    assert math.isclose(often[40 : 40 + PAPER_GENES.size].sum(), 1.0)
    assert SearchSpace.preset("paper").rates(vector, 0.2) == 0.2


def test_what_another_gene_decides_follows_it():
    genome = Genome.parse("11111_04111-1112g1-1112g1-111211-111211")
    space = SearchSpace.preset("full", 1, classes=1)
    vector, start = space.layout.encode(genome), space.layout.class_start(0)
    offsets = {(role, gene.name): start + offset for offset, (role, gene) in enumerate(PAPER_GENES.genes)}
    filtered = space.mutated(vector, offsets["V", "token_mixing"], 3)
    assert str(space.layout.decode(filtered)) == "11111_04111-1112g1-1112g1-321211-111211"
    smaller = space.mutated(vector, offsets["C", "expansion"], 4)
    assert str(space.layout.decode(smaller)) == "11111_04111-111241-111241-111211-111211"
    assert space.choices(vector, offsets["B", "expansion"]) == (16,)
    assert space.choices(vector, offsets["K", "expansion"]) == ()


def test_parents_are_cut_between_genes_and_between_genomes_of_the_class_table():
    fine, coarse = FULL.layout.cuts("genes").tolist(), FULL.layout.cuts("livs").tolist()
    assert fine[:40] == list(range(1, 41))
    assert fine[40:46] == [44, 50, 56, 62, 68, 74]
    assert coarse == [5, 10, 15, 20, 25, 30, 35, *range(40, FULL.layout.size, PAPER_GENES.size)]
    paper = SearchSpace.preset("paper", 3).layout
    assert paper.cuts("genes").tolist() == list(range(1, 15))
    assert paper.cuts("links").tolist() == [5, 10]


def test_positions_are_told_in_words():
    places = {FULL.layout.place(position) for position in range(FULL.layout.size)}
    assert len(places) == FULL.layout.size
    assert FULL.layout.place(0) == "genome, LIV 1, gene 1 (class)"
    last = FULL.layout.size - 1
    assert FULL.layout.place(last) == "genome, class 8 of its own, group K, gene 6 (repeat)"
    assert (FULL.layout.gene(4), FULL.layout.gene(40)) == ("feature_strategy", "operator token_mixing")
    assert FULL.layout.gene(last) == "featurizer repeat"
    assert (FULL.layout.liv(39), FULL.layout.liv(40)) == (7, None)
