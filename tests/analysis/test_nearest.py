"""What a person sees where nobody meets the constraints."""

import io

import pytest
from star_flows.commands.front import evolved
from star_flows.retrain import best_of
from star_flows.run.artifacts import page
from star_flows.run.display import summary
from star_flows.run.paths import RunPaths

from star_core.analysis.report.report import write_report
from star_core.analysis.run.nearest import breaches, in_words, nearest
from star_core.analysis.terminal.front_table import front_table
from star_core.analysis.terminal.output import plain_console
from star_core.errors import StoreError
from tests.analysis.runs import evolve, experiment, individual, store_run

LIMITS = {"parameters": 100_000, "cache_bytes": 0}


@pytest.fixture(scope="module")
def generations():
    return evolve(experiment(objectives={"constraints": LIMITS}), 1, "tight", failing=40)


def test_the_nearest_are_the_trained_that_break_limits_least(generations):
    last = generations[-1]
    found = nearest(last)
    assert found
    least = sorted(member.violation for member in last.population if member.ok)[: len(found)]
    assert [member.violation for member in found] == least
    assert nearest(evolve(experiment(), 0, failing=0)[0]) == ()


def test_the_limit_that_binds_comes_first_with_how_much_it_is_exceeded():
    member = individual(parameters=143_000.0, cache_bytes=2048.0, perplexity=3.0)
    first, second = breaches(member.objectives, LIMITS)
    assert (first.name, second.name) == ("cache_bytes", "parameters")
    assert in_words(member, LIMITS) == (
        "inference cache 2.00 KiB, 2.00 KiB over 0 B; parameters 143k, 43.0 % over 100k"
    )
    assert in_words(individual(parameters=9.0, cache_bytes=0.0), LIMITS) == ""


@pytest.mark.parametrize("width", [60, 400])
def test_terminal_report_and_prefect_show_them(generations, tmp_path, width):
    last, best = generations[-1], nearest(generations[-1])[0]
    over = in_words(best, LIMITS)
    assert "over 100k" in over
    console = plain_console(file=io.StringIO(), width=width)
    console.print(front_table(last))
    said = console.file.getvalue()
    assert "nearest to the constraints" in said
    assert best.id in said
    assert "over 100k" in " ".join(said.split())
    assert over in summary(last)
    assert over in page(RunPaths(str(tmp_path), "tight"), last)
    store_run(tmp_path / "data", generations)
    assert over in write_report("tight", tmp_path / "data", tmp_path / "reports").read_text()
    with pytest.raises(StoreError, match=f"; {best.id} comes nearest: "):
        best_of(last, 1)
    data = evolved(RunPaths(str(tmp_path), "tight"), "").data()
    assert data["front"] == []
    assert data["nearest"][0]["name"] == best.id
    assert data["nearest"][0]["over_the_limits"] == over
