"""The paper's tables (arXiv 2411.17800), written out once more and compared."""

import pytest

from star_core.errors import GenomeError
from star_core.genome.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.genome.operator import OperatorGenome, paper_classes
from star_core.genome.tables import FEATURIZERS, ROLES
from star_core.structures.base import structure_of

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
    classes = paper_classes()
    assert list(classes) == list(range(1, 18))
    assert {c.name: str(c.operator) for c in classes.values() if not c.differential} == PAPER
    for entry in classes.values():
        if entry.differential:
            assert str(entry.operator) == PAPER[entry.name.removesuffix("-Diff")]


def test_every_class_is_admitted_by_its_structure():
    for entry in paper_classes().values():
        structure_of(entry.operator.token_mixing).check(entry.operator, entry.featurizer)


def test_roles_are_explained():
    assert {role for roles, _, _ in FEATURIZERS.values() for role in roles.split()} == set(ROLES)


@pytest.mark.parametrize(
    ("operator", "rule"),
    [
        ("12113", "admits nonlinearity"),
        ("54121", "admits nonlinearity"),
        ("73112", "admits channel_mixing"),
        ("14111", "needs the feature groups C B V A"),
    ],
)
def test_an_operator_that_cannot_be_built_is_refused_with_the_rule(operator, rule):
    genome = OperatorGenome.parse(operator)
    with pytest.raises(GenomeError, match=rule):
        structure_of(genome.token_mixing).check(genome, FeaturizerGenome.of_class(genome.featurizer))


@pytest.mark.parametrize("text", ["1111", "111111111", "x", "911211", "1112é1", "000000"])
def test_malformed_lower_levels_are_genome_errors(text):
    with pytest.raises(GenomeError):
        FeatureGroupGenome.parse(text)
