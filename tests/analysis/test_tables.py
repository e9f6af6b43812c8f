import io

import pytest
from rich.console import Console

from star_core.analysis.terminal.front_table import front_table
from star_core.population.comparison import comparison_path, read_comparison
from tests.analysis.runs import evolve, experiment, store_baselines


def printed(table, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("depth", [8, 24])
def test_the_table_fits_and_cuts_nothing(tmp_path, depth, width):
    problem = experiment(space={"depth": depth}, model={"width": 64})
    last = evolve(problem, 2)[-1]
    store_baselines(tmp_path, "test", problem, 2.0, None)
    baselines = read_comparison(comparison_path("test", "baselines", tmp_path), "test", "baselines")
    text = printed(front_table(last, baselines, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert ("classes" in text) == (width >= 96)
    assert "…" not in text
    for member in last.front:
        assert member.id in text
        for word in member.genome.split("-"):
            assert word in text
    assert "7.389" in text
    assert "Striped hybrid" in text


def test_one_objective_shows_the_population():
    last = evolve(experiment(objectives={"preset": "quality"}), 1, failing=0)[-1]
    text = printed(front_table(last))
    assert all(member.id in text for member in last.population)
    assert "population of generation 1" in text


def test_an_empty_front_is_an_empty_table():
    problem = experiment(objectives={"constraints": {"parameters": 1.0}})
    assert "front of generation 0" in printed(front_table(evolve(problem, 0)[0]))
