"""What a DVC user does with a finished run."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from tests.flows.projects import Project


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


def test_an_experiment_changes_what_it_says(retrained, tmp_path):
    clone = clone_of(retrained, tmp_path / "clone")
    clone.run("dvc", "exp", "run", "-S", "evolution.population=3", "founders@main")
    founders = json.loads((clone.folder / "data/populations/main/gen_000.json").read_text())
    assert len(founders["population"]) == 3
    assert yaml.safe_load((clone.folder / "params.yaml").read_text())["evolution"]["population"] == 3
