"""What a person sees where nobody meets the constraints."""

import io
import json

import pytest
from star_flows.commands.front import evolved
from star_flows.commands.runs import compare_runs
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
    return evolve(experiment(objectives={"constraints": LIMITS}), 1, "tight")


def test_the_nearest_to_limits_on_what_a_training_tells_are_trained():
    last = evolve(experiment(objectives={"constraints": {"perplexity": 1.5}}), 1, "tight", failing=40)[-1]
    found = nearest(last)
    least = sorted(member.violation for member in last.population if member.ok)[: len(found)]
    assert [member.violation for member in found] == least
    assert all(member.ok for member in found)


def test_the_nearest_are_the_trained_that_break_limits_least(generations):
    last = generations[-1]
    found = nearest(last)
    assert found
    assert all(member.status == "infeasible" for member in found), "known limits: nobody was trained"
    least = sorted(member.violation for member in last.population)[: len(found)]
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


@pytest.mark.parametrize("limit", [120_000, 155_000])
def test_a_run_whose_founders_are_all_over_a_limit_is_reported_and_compared(limit, tmp_path):
    """Of the first nobody is ever trained; of the second nobody is before some generation."""
    problem = experiment(objectives={"constraints": {"parameters": limit}}, evolution={"population": 6})
    found = evolve(problem, 3, "tight", failing=0)
    born = [member for generation in found for member in generation.born]
    assert not any(member.ok for member in found[0].born)
    assert any(member.ok for member in born) == (limit == 155_000)
    store_run(tmp_path / "data", found)
    store_run(tmp_path / "data", evolve(experiment(evolution={"population": 6}), 1, "free"))
    text = write_report("tight", tmp_path / "data", tmp_path / "reports").read_text()
    assert "Infeasible: not trained" in text
    assert "Which failed" not in text
    metrics = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert metrics["evaluated"] == sum(member.ok for member in born)
    assert metrics["failed"] == 0
    assert (metrics["hypervolume_all"] > 0) == (limit == 155_000)
    fronts = compare_runs(tmp_path, "tight", "free").data["hypervolume"]
    assert [row["run"] for row in fronts] == ["tight", "free"]
    assert "6 of 6 over a limit, not trained" in summary(found[0])
    console = plain_console(file=io.StringIO(), width=100)
    console.print(front_table(found[-1]))
    assert any(member.id in console.file.getvalue() for member in found[-1].population)
