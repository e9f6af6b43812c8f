"""The benchmark of algorithms: equal beginnings, one budget, numbers that add up."""

import csv
import itertools
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import landscape
from benchmarks.algorithms import BASELINE, NO_DATA, SUITES, contender, pretend, report
from benchmarks.bands import band, saving, write_csv, write_svg
from benchmarks.searches import Course, parameters, search
from star_core.analysis.run.repairs import Breakage
from star_core.errors import ConfigError
from star_core.evolution.base import ALGORITHMS
from star_core.genome import Genome
from star_core.genome.layout import Layout
from tests.evolution.experiments import experiment

SECTIONS = {"evolution": {"population": 6}, "space": {"depth": 5}}
NOTHING = Breakage.of(Layout(1), [])


def searched(name, budget=30, seed=0):
    entry = contender(name)
    return search(parameters(SECTIONS, entry, seed), entry.name, budget, 256, NO_DATA, pretend)


@pytest.fixture(scope="module")
def courses():
    names = ("nsga2", "genetic", BASELINE, "reject: repair=reject")
    return [searched(name, seed=seed) for name in names for seed in (0, 1)]


def test_all_begin_alike_and_spend_the_same(courses):
    for seed in (0, 1):
        of_seed = [course for course in courses if course.seed == seed]
        beginnings = {(tuple(course.tokens[:7]), tuple(course.hypervolume[:7])) for course in of_seed}
        assert len(beginnings) == 1
        assert {course.tokens[-1] for course in of_seed} == {30 * experiment().params.training.tokens}
        assert len({tuple(course.hypervolume) for course in of_seed}) > 1
    for course in courses:
        assert all(before <= after for before, after in itertools.pairwise(course.hypervolume))
        assert all(before <= after for before, after in itertools.pairwise(course.tokens))
        assert course.final > course.hypervolume[6] > 0


def test_a_search_is_the_same_again(courses):
    assert searched("nsga2") == courses[0]


def test_children_are_counted(courses):
    groups = {course.name: course for course in courses}
    assert groups[BASELINE].children.children == 0
    assert groups["nsga2"].children.children >= 24
    # Rejected children leave their places empty, so that the budget lasts for more generations.
    assert groups["reject"].children.invalid > 0
    assert groups["reject"].generations > groups["nsga2"].generations == 4


def test_what_a_contender_saves():
    def course(name, seed, volumes):
        return Course(name, seed, [0, 10, 20, 30, 40], volumes, 1, NOTHING)

    baseline = [course("b", 0, [0, 1, 2, 2, 3]), course("b", 1, [0, 1, 2, 3, 3])]
    better = [course("a", 1, [0, 3, 4, 5, 6]), course("a", 0, [0, 1, 1, 1, 1])]
    assert saving(better, baseline) == ([4.0, 0.0], 1)
    assert saving(baseline, baseline) == ([1.0, pytest.approx(4 / 3)], 0)
    assert band([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)


def test_the_files_hold_every_candidate_and_every_name(courses, tmp_path):
    write_csv(courses, tmp_path / "courses.csv")
    write_svg(courses, tmp_path / "courses.svg")
    rows = list(csv.DictReader((tmp_path / "courses.csv").read_text().splitlines()))
    assert len(rows) == sum(len(course.tokens) for course in courses)
    assert float(rows[-1]["hypervolume"]) == pytest.approx(courses[-1].final, abs=1e-6)
    texts = {element.text for element in ElementTree.parse(tmp_path / "courses.svg").iter()}
    assert {course.name for course in courses} <= texts


def test_the_table_has_a_line_for_each(courses, capsys):
    report(courses)
    told = capsys.readouterr().out
    for name in ("nsga2", "genetic", BASELINE, "reject"):
        assert f"\n{name} " in told
    assert "feature group" in told


def test_contenders_are_algorithms_or_changes_of_one():
    for name in (*ALGORITHMS.names(), *itertools.chain(*SUITES.values())):
        entry = contender(name)
        assert parameters({}, entry, 3).evolution.seed == 3
    assert contender("nsga3").evolution == {"algorithm": "nsga3"}
    assert contender("a b: tournament=4, repair=reject").evolution == {"tournament": 4, "repair": "reject"}
    with pytest.raises(ConfigError, match=r"x, evolution.tournamnt: .* did you mean 'tournament'"):
        parameters({}, contender("x: tournamnt=4"), 0)


def test_the_landscape_is_smooth_where_quality_is():
    """Gated units beside mixers help, more of one kind helps less, sharing costs quality."""

    def loss(text):
        problem = experiment(space={"depth": len(text.split("-"))})
        return landscape.loss(problem.compile(Genome.parse(text)))

    assert loss("11111-91111-51111-91111") < loss("11111-11111-11111-11111") < 4.2
    assert loss("11111-91111-51111-91111") < loss("11111-51111-91111-91111")
    assert loss("11111-91111-11111-91111") < loss("11112-91111-11112-91111")
    assert loss("11111-91111-11111-91111") < loss("11211-91111-11211-91111")
