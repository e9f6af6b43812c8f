"""Counts of what variation broke, from stored repairs and from children made again."""

import pytest

from star_core.analysis.run.repairs import Breakage, broken, children_of, course, repaired
from star_core.genome import Genome
from star_core.genome.layout import Layout
from tests.evolution.experiments import evolve, experiment


def test_counts_positions_and_children_by_gene_and_by_rule():
    rule = "{} cannot reuse these features of {}, which owns feature group {}"
    faults = [
        [(3, rule.format("SA-1", "Rec-1", 2)), (8, rule.format("GConv-1", "SA-3-Diff", 4))],
        [],
        [(4, "GMemless has the feature-sharing strategies 1 to 3"), (13, rule.format("SA-1", "SA-4", 1))],
    ]
    found = Breakage.of(Layout(3), faults)
    assert (found.children, found.invalid, found.share) == (3, 2, pytest.approx(2 / 3))
    assert found.genes == {"feature_group": (3, 2), "feature_strategy": (1, 1)}
    assert list(found.rules.values()) == [(3, 2), (1, 1)]
    assert next(iter(found.rules)).startswith("a class cannot reuse these features of another")


def test_nothing_made_is_no_share():
    assert Breakage.of(Layout(1), []).share is None


def test_invalid_genomes_are_counted_before_repair():
    space = experiment(space={"depth": 3}).space
    genomes = [Genome.parse("11112-51112-91112"), Genome.parse("11111-51111-91111")]
    found = broken(space, genomes)
    assert (found.children, found.invalid) == (2, 1)
    assert found.genes == {"feature_group": (2, 1)}


def test_stored_repairs_agree_with_the_children_made_again():
    problem = experiment(evolution={"population": 12, "mutation_rate": 0.2})
    generations = evolve(problem, 3, failing=0)
    for parent, child, stored in zip(
        generations, generations[1:], course(problem.space, generations), strict=False
    ):
        children = children_of(problem, parent)
        born = [member for member in child.born if member.origin.operator == "variation"]
        assert stored == repaired(problem.space, child.born)
        assert stored.children == len(born) <= len(children)
        assert stored.invalid == sum(bool(member.origin.repairs) for member in born) > 0
        # Whoever was repaired is there as it was before; whoever was not is there as it is.
        before = {str(genome) for genome in children}
        assert all((member.genome in before) != bool(member.origin.repairs) for member in born)
        assert broken(problem.space, children).invalid >= stored.invalid


def test_what_was_thrown_away_is_counted_too():
    problem = experiment(space={"depth": 12}, evolution={"population": 12, "repair": "reject"})
    generations = evolve(problem, 1, failing=0)
    found = broken(problem.space, children_of(problem, generations[0]))
    assert repaired(problem.space, generations[1].born).invalid == 0
    assert found.invalid == 12 - len(generations[1].born) > 0


def test_positions_of_own_classes_have_names_too():
    found = Breakage.of(Layout(3, classes=2), [[(0, "a rule"), (15, "a rule"), (16, "a rule")]])
    assert next(iter(found.genes)) == "class"
    assert len(found.genes) == 3
    assert all(gene.startswith(("operator ", "featurizer ")) for gene in list(found.genes)[1:])
