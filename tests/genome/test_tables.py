"""The paper's tables (arXiv 2411.17800), written out once more and compared."""

import pytest

from star_core import Genome, SearchSpace, compile_genome
from star_core.errors import GenomeError
from star_core.structures.registered import class_table, featurizer_of, roles_of, structure_of, structures
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome

PAPER = {
    "SA-1": "12123",
    "SA-2": "22123",
    "SA-3": "32123",
    "SA-4": "42123",
    "Rec-1": "54111",
    "Rec-2": "64111",
    "GConv-1": "73111",
    "GConv-2": "83111",
    "GMemless": "91142",
}


def test_there_are_seventeen_classes_and_each_differential_one_repeats_its_base():
    classes = SearchSpace.preset("paper").classes
    assert list(classes) == list(range(1, 18))
    assert {c.name: str(c.operator) for c in classes.values() if not c.differential} == PAPER
    for entry in classes.values():
        if entry.differential:
            assert str(entry.operator) == PAPER[entry.name.removesuffix("-Diff")]


def test_every_class_is_admitted_by_its_structure():
    for entry in class_table().values():
        structure_of(entry.operator.token_mixing).check(entry.operator, entry.featurizer)


def test_roles_are_explained():
    roles = roles_of(structure.allele for structure in structures())
    assert "".join(role.letter for role in roles) == "CBVAK"
    assert all(role.meaning for role in roles)


@pytest.mark.parametrize(
    ("operator", "rule"),
    [
        ("12111", r"low-rank operator admits channel_mixing in \{3, 2\}: .*inner product"),
        ("54121", r"semi-separable operator admits nonlinearity in \{1\}: .*linear in the state"),
        ("54211", r"admits sparsity in \{1\}: its decay bounds its memory"),
        ("54113", r"admits channel_mixing in \{1\}: a state is carried channel by channel"),
        ("73211", r"toeplitz operator admits sparsity in \{1\}: its band is that of its filter"),
        ("73141", r"admits nonlinearity in \{1\}: a filter is free"),
        ("83112", r"gene 5 \(channel_mixing\): 2: an implicit filter is diagonal over channels"),
        ("91222", r"diagonal operator admits sparsity in \{1\}: a diagonal has no band"),
        ("91122", r"admits nonlinearity in \{4, 3, 1\}: softmax over one token is 1"),
        ("32122", r"32122, .*group B: 4: with dense channel mixing \(2\) there is one head"),
        ("14111", "needs the feature groups C B V A"),
    ],
)
def test_an_operator_that_cannot_be_built_is_refused_with_the_rule(operator, rule):
    genome = OperatorGenome.parse(operator)
    with pytest.raises(GenomeError, match=rule):
        structure_of(genome.token_mixing).check(genome, featurizer_of(genome.featurizer))


@pytest.mark.parametrize(
    ("groups", "rule"),
    [
        (
            "111211-111211-111211-115211",
            "5: a norm over the channels of a head .* is of features, not of rates",
        ),
        ("111211-111211-111211-112211", "2: softmax is a nonlinearity of operators, not of features"),
    ],
)
def test_a_feature_group_that_cannot_be_computed_is_refused_with_the_rule(groups, rule):
    with pytest.raises(GenomeError, match=rule):
        compile_genome(Genome.parse(f"11111_04111-{groups}"), SearchSpace.preset("full"), 64)


def test_a_norm_is_no_nonlinearity_of_an_operator():
    with pytest.raises(GenomeError, match="nonlinearity is an integer from 1 to 4"):
        OperatorGenome.parse("12153")


@pytest.mark.parametrize("text", ["1111", "111111111", "x", "911211", "1112é1", "000000"])
def test_malformed_lower_levels_are_genome_errors(text):
    with pytest.raises(GenomeError):
        FeatureGroupGenome.parse(text)
