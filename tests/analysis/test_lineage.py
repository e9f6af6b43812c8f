import pytest

from star_core.analysis.drawing.family_tree import family_tree, readable_lineage
from star_core.analysis.drawing.tree_layout import NODE, TRUNK, layout
from star_core.analysis.run.lineage import ancestry, individuals, made_by, mutated_livs, position_name
from star_core.compiler import compile_genome
from star_core.genome import Genome
from star_core.genome.class_genome import PAPER_GENES
from star_core.genome.layout import Layout
from star_core.population.individual import Origin, Repair
from tests.analysis.runs import PAPER, generation, individual


@pytest.fixture
def family():
    a, b, c = (individual(f"g000-0{slot}") for slot in range(3))
    d = individual("g001-00", parents=("g000-00", "g000-01"), points=(5,), mutations=(0, 7))
    e = individual("g002-00", parents=("g001-00", "g000-00"))
    return individuals([generation(0, [a, b, c]), generation(1, [a], [d]), generation(2, [e], [])])


def test_ancestors_are_found_even_if_they_did_not_survive(family):
    lineage = ancestry(["g002-00"], family)
    assert list(lineage.members) == ["g000-00", "g000-01", "g001-00", "g002-00"]
    assert [[member.id for member in row] for row in lineage.generations] == [
        ["g000-00", "g000-01"],
        ["g001-00"],
        ["g002-00"],
    ]
    assert lineage.unknown == ()


def test_parents_of_another_run_are_named(family):
    orphan = individual("g003-00", parents=("g002-00", "g002-09"))
    lineage = ancestry(["g003-00", "g099-00"], {**family, orphan.id: orphan})
    assert lineage.unknown == ("g002-09", "g099-00")
    assert lineage.winners == ("g003-00",)


def test_how_a_genome_was_made_in_words():
    mended = Origin(
        operator="variation",
        crossover_points=(3,),
        mutations=(5, 6),
        repairs=(Repair(position=13, old=1, new=2, rule="r"),),
    )
    assert made_by(mended, 2) == "crossover + mutation + repair"
    assert made_by(Origin(operator="variation"), 1) == "copy"
    assert made_by(Origin(operator="seed"), 0) == "hand-designed"
    assert mutated_livs(mended, Layout(3)) == (1, 2)
    assert position_name(13, Layout(3)) == "LIV 3 feature group"
    assert position_name(15 + PAPER_GENES.size, Layout(3, classes=2)) == "class 2 operator token mixing"
    assert mutated_livs(Origin(operator="variation", mutations=(2, 15)), Layout(3, classes=2)) == (0,)


def test_nodes_and_trunks_do_not_overlap(family):
    placed = layout(ancestry(["g002-00", "g000-02"], family), 600)
    assert placed.trunk("g000-00", "g002-00") == [("g000-00", 0), ("g000-00", 1)]
    assert ("g000-00", 1) in placed.rows[1]
    for row in placed.rows:
        rooms = [NODE if placed.level[spot[0]] == spot[1] else TRUNK for spot in row]
        centres = [placed.x[spot] for spot in row]
        for left, right, a, b in zip(centres, centres[1:], rooms, rooms[1:], strict=False):
            assert right - left >= (a + b) / 2 - 1e-6
        assert centres[0] >= rooms[0] / 2 - 1e-6
        assert centres[-1] <= placed.width - rooms[-1] / 2 + 1e-6


def test_the_picture_names_every_member(family):
    lineage = readable_lineage(["g002-00"], family)
    spec = compile_genome(Genome.parse("11111"), PAPER, 32)
    drawn = family_tree(lineage, dict.fromkeys(family, spec), PAPER)
    for name in lineage.members:
        assert name in drawn
    assert drawn.count('class="edge"') == 4


def test_a_lineage_too_large_for_a_picture_keeps_the_best():
    everyone = {f"g000-{slot:02d}": individual(f"g000-{slot:02d}") for slot in range(20)}
    for name in ("g001-00", "g001-01"):
        half = range(7) if name == "g001-00" else range(7, 14)
        everyone[name] = individual(name, parents=tuple(f"g000-{slot:02d}" for slot in half))
    assert readable_lineage(["g001-00", "g001-01"], everyone).winners == ("g001-00",)
