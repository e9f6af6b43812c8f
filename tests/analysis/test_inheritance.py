from dataclasses import replace

import numpy as np
import pytest

from star_core.analysis.motifs.encoding import ABSENT, Encoding
from star_core.analysis.motifs.inheritance import NEW, Inheritance
from star_core.analysis.run.lineage import individuals
from star_core.compiler import compile_genome
from star_core.genome import Genome
from tests.analysis.runs import PAPER, evolve, experiment, individual


def descent(members):
    architectures = [compile_genome(Genome.parse(member.genome), PAPER, 32) for member in members]
    return Inheritance.of(members, Encoding.of(architectures).encode(architectures))


A, B = "11111-21111-31111-41111", "51111-61111-71111-81111"


@pytest.mark.parametrize(
    ("child", "expected"),
    [("11111-21111-71111-81111", [0, 0, 1, 1]), ("51111-61111-31111-41111", [1, 1, 0, 0])],
)
def test_genes_come_from_the_parent_of_their_segment_whichever_child_it_is(child, expected):
    members = [individual("g000-00", A), individual("g000-01", B)]
    members.append(individual("g001-00", child, parents=("g000-00", "g000-01"), points=(10,)))
    (birth,) = descent(members).births
    assert birth.parents == (0, 1)
    assert birth.source[:, 0].tolist() == expected


def test_what_was_mutated_or_repaired_is_new_even_if_a_parent_has_it():
    members = [individual("g000-00", A), individual("g000-01", A)]
    members.append(individual("g001-00", A, parents=("g000-00",), mutations=(5,), repairs=((18, "a rule"),)))
    found = descent(members)
    (birth,) = found.births
    assert np.argwhere(birth.source == NEW).tolist() == [[1, 0], [3, 3]]
    assert [len(alleles) for alleles in found.alleles] == [1, 0, 0, 1, 0]
    assert found.roots.tolist() == [0, 1]


def test_a_class_that_changed_without_a_mutation_of_its_gene_changed_everywhere_at_once():
    members = [individual("g000-00", "11111-21111-11111"), individual("g000-01", A)]
    members.append(individual("g001-00", "71111-21111-71111", parents=("g000-00",), mutations=(40,)))
    found = descent(members)
    assert found.births[0].classes == ((0, 2),)
    drawn = found.replayed([2], 50, np.random.default_rng(0))
    assert (drawn[:, 0, 0, 0] == drawn[:, 0, 2, 0]).all()


def test_livs_are_aligned_where_depths_differ():
    members = [individual("g000-00", "11111-21111-31111-41111"), individual("g000-01", "51111-61111-71111")]
    members.append(individual("g001-00", "11111-31111-41111", parents=("g000-00",)))
    members.append(individual("g001-01", "51111-61111-91111-71111", parents=("g000-01",)))
    shorter, longer = descent(members).births
    assert shorter.places[0].tolist() == [0, 2, 3, ABSENT]
    assert (shorter.source[:3] == 0).all()
    assert longer.places[0].tolist() == [0, 1, ABSENT, 2]
    assert (longer.source[2] == NEW).all()


def test_alleles_copied_one_by_one_may_have_come_from_any_parent_that_has_them():
    members = [individual("g000-00", "11111-21111"), individual("g000-01", "11111-31111")]
    members.append(individual("g001-00", "11111-31111", parents=("g000-00", "g000-01"), points=(5,)))
    architectures = [compile_genome(Genome.parse(member.genome), PAPER, 32) for member in members]
    found = Inheritance.of(members, Encoding.of(architectures).encode(architectures), scattered=True)
    (birth,) = found.births
    assert birth.odds[:, 1, 0].tolist() == [0, 0]
    assert birth.odds[:, 0, 0].tolist() == pytest.approx([0.25, 0.75])
    genes = found.genes.copy()
    genes[1, 0, 0] = 2
    drawn = replace(found, genes=genes).replayed([0, 1, 2], 4000, np.random.default_rng(0))
    own, other, child = drawn[:, :, 0, 0].T
    assert ((child == own) | (child == other)).all()
    assert (child == own).mean() == pytest.approx(0.25, abs=0.03)


def test_unknown_parents_make_a_root():
    members = [individual("g003-00", A, parents=("g002-01",)), individual("g003-01", B)]
    assert descent(members).births == ()


@pytest.mark.parametrize(
    "evolution", [{}, {"crossover": "links"}, {"algorithm": "firefly"}, {"algorithm": "random_search"}]
)
def test_a_re_enacted_run_has_the_descent_of_the_run(evolution):
    problem = experiment(evolution={"seed": 4, **evolution})
    generations = evolve(problem, 4)
    members = list(individuals(generations).values())
    found = descent(members)
    assert len(found.births) + len(found.roots) == len(members)
    rows = range(len(members))
    drawn = found.replayed(rows, 7, np.random.default_rng(1))
    for luck in drawn:
        roots = sorted(luck[found.roots].tolist())
        assert roots == sorted(found.genes[found.roots].tolist())
        for birth in found.births:
            for number, (parent, places) in enumerate(zip(birth.parents, birth.places, strict=True)):
                at, gene = np.nonzero(birth.source == number)
                assert (luck[birth.row, at, gene] == luck[parent, places[at], gene]).all()
            for gene, alleles in enumerate(found.alleles):
                new = birth.source[:, gene] == NEW
                assert set(luck[birth.row, new, gene].tolist()) <= set(alleles.tolist())
    assert not np.array_equal(drawn[0], drawn[1])


def test_nearly_all_genes_of_a_run_are_explained():
    members = list(individuals(evolve(experiment(evolution={"seed": 4}), 5)).values())
    found = descent(members)
    for birth in found.births:
        member = members[birth.row]
        recorded = {*member.origin.mutations, *(repair.position for repair in member.origin.repairs)}
        new = set(np.flatnonzero(birth.source.ravel() == NEW).tolist())
        assert new == recorded
