"""Genomes that bring their own classes: text, vector, names, and which of them are valid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from star_core import Genome, SearchSpace, compile_genome
from star_core.errors import GenomeError
from star_core.genome.backbone import MAX_TEXT
from star_core.genome.class_alleles import (
    REPEATS,
    admits,
    feature_groups,
    operator_of,
    valid_classes,
)
from star_core.genome.class_genome import (
    MAX_CLASS_TEXT,
    PAPER_GENES,
    alleles_of,
    class_of,
    class_text,
    parse_class,
)
from star_core.genome.class_names import differential, is_named, name_pattern
from star_core.genome.founding import sampled_class
from star_core.genome.lower_levels import compose, faults
from star_core.structures import class_table, structure_of
from star_core.structures.base import PAPER_STRUCTURES
from star_core.vocabulary.tables import MAX_FEATURE_GROUPS, MAX_OWN_CLASSES
from tests.genome.contract import assert_refused
from tests.genome.lower_levels import is_admitted, valid_operators
from tests.genome.own_classes import any_class, any_own_genome
from tests.genome.strategies import seeds

FULL = SearchSpace.preset("full")
SMALL = SearchSpace.preset("full", depth=4, classes=3)


@given(any_own_genome())
def test_text_and_vector_codecs_are_inverse(genome):
    assert Genome.parse(str(genome)) == genome
    vector = genome.to_vector()
    assert vector.shape == (5 * genome.depth + 34 * len(genome.table),)
    assert Genome.from_vector(vector, len(genome.table)) == genome
    assert str(Genome.parse(str(genome))) == str(genome)


def test_a_genome_reads_as_the_papers_digit_strings():
    genome = Genome.parse("11211-21112-61111_12123_73111_02123-114211-114211-111214")
    assert [entry.name for entry in genome.table] == ["SA-1", "GConv-1", "SA-02123.mkg5"]
    names = [layer.liv_class.name for layer in compile_genome(genome, FULL, 64).layers]
    assert names == ["SA-1", "GConv-1", "SA-02123.mkg5-Diff"]
    # Written out, what a featurizer class makes is that class.
    spelled = Genome.parse("11111_02123-111211-111214-111214")
    assert str(spelled) == "11111_32123"


def test_the_longest_text_is_as_long_as_said():
    assert 5 + 7 * MAX_FEATURE_GROUPS == MAX_CLASS_TEXT
    longest = "_".join(["-".join(["12211"] * 256), *["04111-3242g1-3242g1-324311-111311"] * 17])
    assert len(longest) == MAX_TEXT - 1 - 17 * 7 * (MAX_FEATURE_GROUPS - 4)
    assert str(Genome.parse(longest)) == longest
    with pytest.raises(GenomeError, match="at most 17 classes"):
        Genome.parse("11111" + "_12123" * 18)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("11111_", None, "class 1 of its own: '': an operator genome has 5 characters, not 0"),
        ("11111_12123_1212", None, "class 2 of its own: '1212': an operator genome has 5 characters"),
        (
            "11111_15123",
            5,
            "class 1 of its own, operator gene 2 (token_mixing): 5: token_mixing is one of 1, 2, 3, 4",
        ),
        ("11111_12123_1212A", 5 + 34 + 3, "class 2 of its own, operator gene 5 (channel_mixing): 'A'"),
        (
            "11111_x2123",
            None,
            "operator gene 1 (featurizer): 33: featurizer is an integer from 1 to 11, or 0",
        ),
        (
            "11111_02123-111211",
            None,
            "'02123-111211': a low-rank operator has 3 feature groups (C B V), not 1",
        ),
        ("11111_02123-111211-111911-111211", 5 + 4 + 9, "group B, gene 4 (channel_mixing): 9"),
        ("11111_02123-111211-11121-111211", None, "group B of a featurizer genome has 6 characters, not 5"),
        (
            "11111_12123-111211-111211-111211",
            None,
            "only where the operator's first digit is 0. Fix: write 02123",
        ),
        (
            "11111_14111",
            None,
            "needs the feature groups C B V A, featurizer 1 makes C B V. Fix: use one of 5, 6",
        ),
        ("31111_12123", 0, "LIV 1, gene 1 (class): 3: where a genome brings 1 classes, class is an integer"),
        ("11111_" + "1" * 40, None, "an operator genome has 5 characters, not 40"),
        ("11111_12123" * 400, None, "Fix: shorten it"),
    ],
)
def test_malformed_text_names_position_value_rule_and_fix(text, position, message):
    assert_refused(text, position, message)


@given(st.text(alphabet="0123456789abz-_A ", max_size=60))
def test_any_text_parses_or_is_a_genome_error_with_a_fix(text):
    try:
        assert Genome.parse(str(Genome.parse(text))) == Genome.parse(text)
    except GenomeError as error:
        assert error.rule
        assert error.fix


@pytest.mark.parametrize("vector", [[1] * 34, [1] * 5 + [1] * 33 + [0], [1] * 5 + [1.0] * 34, [True] * 39])
def test_a_vector_that_is_none_is_a_genome_error(vector):
    with pytest.raises(GenomeError):
        Genome.from_vector(vector, classes=1)


@given(any_class)
def test_integers_and_text_of_a_class_are_inverse_but_for_roles_it_lacks(entry):
    assert parse_class(class_text(entry)) == entry
    assert class_of(PAPER_GENES, alleles_of(PAPER_GENES, entry)) == entry
    assert [role for role in PAPER_GENES.roles if role in entry.featurizer.roles] == list(
        entry.featurizer.roles
    )


def test_rows_of_the_class_table_are_valid_and_keep_their_names():
    for entry in class_table().values():
        own = parse_class(str(entry.operator))
        assert entry == (differential(own) if entry.differential else own)
        assert is_named(entry)
        assert name_pattern().fullmatch(entry.name)
        assert bool(faults(PAPER_GENES, own)) == (entry not in FULL.classes.values())
    assert len(FULL.named) == MAX_OWN_CLASSES


def test_invented_classes_have_names_of_their_own():
    rng = np.random.default_rng(0)
    found = {sampled_class(PAPER_GENES, rng) for _ in range(400)}
    assert len({entry.name for entry in found}) == len(found) > 390
    assert not any(map(is_named, found))
    assert all(
        name_pattern().fullmatch(name) for entry in found for name in (entry.name, differential(entry).name)
    )
    assert parse_class("42143").name == "SA-42143"
    assert parse_class("02113-111211-111212-111212").name == "LA-42113"


# Validity


@given(seeds)
def test_a_sampled_class_is_what_the_rules_admit(seed):
    entry = sampled_class(PAPER_GENES, np.random.default_rng(seed))
    structure_of(entry.operator.token_mixing).check(entry.operator, entry.featurizer)
    assert not faults(PAPER_GENES, entry)


@settings(max_examples=300)
@given(any_class)
def test_a_class_without_faults_is_one_the_rules_admit_and_the_space_bounds(entry):
    groups = dict(zip(entry.featurizer.roles, entry.featurizer.groups, strict=True))
    factors = structure_of(entry.operator.token_mixing).expansions
    bounded = all(
        group.expansion in factors.get(role, (1,)) and group.repeat in REPEATS
        for role, group in groups.items()
    )
    assert (not faults(PAPER_GENES, entry)) == (is_admitted(entry.operator, entry.featurizer) and bounded)


@settings(max_examples=200)
@given(any_class, seeds)
def test_what_is_admitted_at_once_is_what_is_admitted_gene_by_gene(entry, seed):
    for candidate in (entry, sampled_class(PAPER_GENES, np.random.default_rng(seed))):
        alleles, wrong = alleles_of(PAPER_GENES, candidate), []

        def choose(drawn, offset, valid, alleles=alleles, wrong=wrong):
            wrong += [offset] if alleles[offset] not in valid else []
            return alleles[offset] if alleles[offset] in valid else valid[-1]

        composed = compose(PAPER_GENES, choose)
        assert admits(PAPER_GENES, alleles) == (not wrong) == (composed == alleles)
        assert admits(PAPER_GENES, composed)


def test_every_operator_that_the_rules_admit_is_in_the_space():
    admitted = {str(entry.operator)[1:] for entry in valid_operators()}
    counted = dict(valid_classes(PAPER_STRUCTURES))
    assert {str(operator)[1:] for operator in counted} == admitted
    assert len(counted) == 29
    assert sum(counted.values()) == 4_085_424


def test_the_number_of_featurizers_is_counted_right():
    operator = operator_of((1, 1, 4, 2))
    groups = feature_groups(operator, "C")
    # Over tokens 2 ways, nonlinearities 3, over channels 3, expansions 4; gate and value agree in the last.
    assert len(groups) == 2 * 3 * 3 * 4
    assert dict(valid_classes(PAPER_STRUCTURES))[operator] == (2 * 3 * 3) ** 2 * 4


def test_faults_name_the_rule_and_what_would_be_valid():
    entry = parse_class("02123-112211-111221-111911".replace("9", "3"))
    found = {
        PAPER_GENES.genes[fault.offset][0] + PAPER_GENES.genes[fault.offset][1].name: fault
        for fault in faults(PAPER_GENES, entry)
    }
    assert set(found) == {"Cnonlinearity", "Bexpansion"}
    assert "softmax is a nonlinearity of operators" in found["Cnonlinearity"].rule
    assert found["Cnonlinearity"].fix == "use 1, 3, 4"
    assert found["Bexpansion"].rule == "the groups C, B have one expansion factor"
    # The rule is that of the gene, not that of another one that its usual value would break.
    assert (
        "channel by channel" in faults(PAPER_GENES, parse_class("04111-111221-111121-111211-111211"))[0].rule
    )
    wide = faults(PAPER_GENES, parse_class("02123-1112c1-1112c1-111211"))
    assert wide[0].rule == "the space admits expansion in {1, 2} for group C"
    assert (
        "a filter is free to take any value"
        in faults(PAPER_GENES, class_of(PAPER_GENES, (3, 1, 4, *alleles_of(PAPER_GENES, entry)[3:])))[0].rule
    )
