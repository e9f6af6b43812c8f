"""What a DVC user does with a finished run."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sys

import pytest
import yaml
from star_flows.commands.runs import list_runs
from star_flows.doctor.finding import Level
from star_flows.doctor.finding import Project as Place
from star_flows.doctor.project import cache, remote
from star_flows.doctor.runs import runs
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session
from star_flows.versions.cache import locked_outputs, uncached
from star_flows.versions.dvc import commit, record, uncommitted

from star_core.population.ledger import own_params_file
from tests.flows.projects import ROOT, Project


@pytest.fixture(scope="module")
def retrained(finished, tmp_path_factory):
    """A copy of the finished project whose last stages DVC has run; all in git, as DVC keeps it."""
    project = Project(tmp_path_factory.mktemp("retrained") / "project", finished.environment)
    shutil.copytree(finished.folder, project.folder, symlinks=True)
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "a run")
    project.run("dvc", "repro", "report@main")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "retrained")
    return project


def clone_of(project: Project, folder) -> Project:
    """What git has of it: no corpus, no generations, no evaluations, no cache."""
    project.run("git", "clone", "-q", str(project.folder), str(folder))
    return Project(folder, project.environment)


def test_retrain_and_report_are_stages(retrained, finished):
    assert retrained.generations() == finished.generations()
    metrics = json.loads((retrained.folder / "data/reports/main/metrics.json").read_text())
    assert metrics["best_perplexity"] > 1
    found = json.loads((retrained.folder / "data/retrain/main/retrain.json").read_text())
    for entry in found["entries"]:
        assert (retrained.folder / "data/retrain/main" / entry["checkpoint"]).exists()
    assert "best_perplexity" in retrained.run("dvc", "metrics", "show")
    output = retrained.run("dvc", "metrics", "show", "--all-commits", "--json")
    shown, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    kept = [
        found
        for revision, found in shown.items()
        if revision != "workspace" and "best_perplexity" in str(found)
    ]
    assert kept, "the metrics of a commit are kept"


def test_a_clean_clone_reproduces_the_lock_file(retrained, finished, tmp_path):
    clone = clone_of(retrained, tmp_path / "clone")
    assert not clone.generations()
    before = (clone.folder / "dvc.lock").read_text()
    clone.run("dvc", "repro")
    assert (clone.folder / "dvc.lock").read_text() == before
    assert clone.generations() == finished.generations()
    assert "generation@main-001" in clone.run("dvc", "dag")
    # One generation again, from its stored parent.
    clone.run("dvc", "repro", "-f", "-s", "generation@main-001")
    assert (clone.folder / "dvc.lock").read_text() == before
    assert clone.run("git", "status", "--porcelain") == ""


def test_tables_and_plots_of_the_documentation_are_narrow_and_need_no_network(retrained, tmp_path):
    page = (ROOT / "docs/running.md").read_text()
    shown, plotted = re.findall(r"^dvc exp show .*$|^dvc plots show .*$", page, re.M)
    clone = clone_of(retrained, tmp_path / "clone")
    clone.run("dvc", "exp", "run", "-n", "smaller", "-S", "evolution.population=3", "prepare@main")
    clone.environment = {**clone.environment, "COLUMNS": "60"}
    table = clone.run(*shlex.split(shown))
    assert "evolution.population" in table
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 60
    shutil.copytree(retrained.folder / "data/reports", clone.folder / "data/reports")
    shutil.copytree(ROOT / "examples", clone.folder / "examples")
    clone.run(*shlex.split(plotted))
    plots = (clone.folder / "dvc_plots/index.html").read_text()
    assert "hypervolume" in plots
    assert "vega-embed.min.js" in plots
    assert not re.search(r"src=.https?:", plots)


class Terminal(io.StringIO):
    """A stream on which progress bars would be drawn."""

    def isatty(self):
        return True


def test_dvc_draws_nothing_beside_our_own_display(retrained, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(retrained.folder, folder, symlinks=True)
    shutil.rmtree(folder / ".dvc/cache")
    paths, terminal = RunPaths(str(folder), "main"), Terminal()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    commit(paths, ["prepare@main", "founders@main"])
    assert "prepare@main" not in {output.stage for output in uncached(paths, locked_outputs(paths))}
    assert terminal.getvalue() == ""


def test_without_dvc_the_ledger_still_knows_a_runs_parameter_file(finished, tmp_path):
    for name in ("data/populations", "data/tokens"):
        shutil.copytree(finished.folder / name, tmp_path / name)
    shutil.copy(finished.folder / "params.yaml", tmp_path / "mine.yaml")
    shutil.copy(finished.folder / "corpus.txt", tmp_path)
    record(Session(RunPaths(str(tmp_path), "main", "mine.yaml")), 2)
    assert [run["parameters"] for run in list_runs(tmp_path).data["runs"]] == ["mine.yaml"]
    assert own_params_file(tmp_path, "main") == "mine.yaml"
    assert not (tmp_path / "dvc.lock").exists()


def test_an_experiment_changes_what_it_says(retrained, tmp_path):
    clone = clone_of(retrained, tmp_path / "clone")
    clone.run("dvc", "exp", "run", "-S", "evolution.population=3", "founders@main")
    founders = json.loads((clone.folder / "data/populations/main/gen_000.json").read_text())
    assert len(founders["population"]) == 3
    assert yaml.safe_load((clone.folder / "params.yaml").read_text())["evolution"]["population"] == 3


def test_what_reproduces_the_lock_is_cached_and_pushed(retrained, tmp_path):
    clone = clone_of(retrained, tmp_path / "clone")
    fresh = clone.run("star", "doctor")
    assert "not here yet: prepare@main, baselines@main" in fresh.replace("\n", " ")
    assert "0 problems" in fresh
    before = (clone.folder / "dvc.lock").read_text()
    the_ledger_rules_what_dvc_makes_and_that_is_said(clone)
    assert clone.generations() == retrained.generations()
    clone.run("star", "report")
    assert "is complete" in clone.run("star", "evolve")
    assert (clone.folder / "dvc.lock").read_text() == before
    stages = ["prepare@main", "baselines@main", "founders@main", "generation@main-001", "generation@main-002"]
    assert "not in cache" not in clone.run("dvc", "status", *stages)
    clone.run("dvc", "commit", "-f", *stages)
    assert (clone.folder / "dvc.lock").read_text() == before
    clone.run("dvc", "remote", "add", "-d", "copy", str(tmp_path / "copy"))
    place = Place(clone.folder, "params.yaml")
    assert [finding.fix for finding in remote(place)] == ["dvc push"]
    clone.run("dvc", "push", "-q", *stages)
    assert [finding.level for finding in remote(place)] == [Level.OK]
    other = clone_of(retrained, tmp_path / "other")
    other.run("dvc", "remote", "add", "-d", "copy", str(tmp_path / "copy"))
    other.run("dvc", "pull", "-q", *stages)
    assert other.generations() == clone.generations()


def test_a_cache_that_lost_something_is_said_and_filled_again(retrained, tmp_path):
    project = Project(tmp_path / "project", retrained.environment)
    shutil.copytree(retrained.folder, project.folder, symlinks=True)
    place = Place(project.folder, "params.yaml")
    assert [finding.level for finding in cache(place)] == [Level.OK]
    shutil.rmtree(project.folder / ".dvc/cache")
    (finding,) = cache(place)
    assert finding.level is Level.WARNING
    assert finding.fix.startswith("dvc commit prepare@main baselines@main founders@main")
    lacking = uncommitted(place.paths, 2)
    assert lacking == [
        "prepare@main",
        "baselines@main",
        "founders@main",
        "generation@main-001",
        "generation@main-002",
    ]
    before = (project.folder / "dvc.lock").read_text()
    project.run("star", "evolve")
    assert uncommitted(place.paths, 2) == []
    project.run(*[finding for (found,) in [cache(place)] for finding in found.fix.split()])
    assert [finding.level for finding in cache(place)] == [Level.OK]
    assert (project.folder / "dvc.lock").read_text() == before


def the_ledger_rules_what_dvc_makes_and_that_is_said(clone):
    """It has generation 2, at which ``generations: 1`` does not arrive; ``dvc repro`` makes it."""
    params = clone.folder / "params.yaml"
    stated = params.read_text()
    params.write_text(stated.replace("generations: 2", "generations: 1"))
    said = " ".join(clone.run("star", "evolve").split())
    assert "The ledger rules what `dvc repro` makes, and has them up to 2" in said
    assert len(clone.generations()) == 2
    row, missing = runs(Place(clone.folder, "params.yaml"))
    assert (row.level, missing.level) == (Level.OK, Level.WARNING)
    assert "star evolve stops at generation 1 (params.yaml); dvc repro makes what the ledger has" in row.text
    assert "2 of 3 generations of the ledger are here yet" in missing.text
    clone.run("dvc", "repro", "generation@main-002")
    params.write_text(stated)
