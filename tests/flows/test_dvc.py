"""What a DVC user does with a finished run."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from tests.flows.projects import Project

STAGES = ["prepare@main", "founders@main", "generation@main-001"]


@pytest.fixture
def committed(finished, tmp_path):
    """A clone of the finished project as git keeps it: no corpus, no generations, no evaluations."""
    original = Project(tmp_path / "original", finished.environment)
    shutil.copytree(finished.folder, original.folder, symlinks=True)
    shutil.copy(original.folder / "corpus.txt", tmp_path / "corpus.txt")
    original.run("git", "add", "-A")
    original.run("git", "commit", "-qm", "a run")
    original.run("git", "clone", "-q", str(original.folder), str(tmp_path / "clone"))
    return Project(tmp_path / "clone", finished.environment)


def test_a_clean_clone_reproduces_the_lock_file(committed, finished):
    assert not committed.generations()
    before = (committed.folder / "dvc.lock").read_text()
    committed.run("dvc", "repro", "generation@main-001")
    assert (committed.folder / "dvc.lock").read_text() == before
    assert committed.generations().items() <= finished.generations().items()
    assert "generation@main-001" in committed.run("dvc", "dag")
    # One generation again, from its stored parent.
    committed.run("dvc", "repro", "-f", "-s", "generation@main-001")
    assert (committed.folder / "dvc.lock").read_text() == before
    assert committed.run("git", "status", "--porcelain") == ""


def test_an_experiment_changes_what_it_says(committed):
    committed.run("dvc", "exp", "run", "-S", "evolution.population=3", "founders@main")
    founders = json.loads((committed.folder / "data/populations/main/gen_000.json").read_text())
    assert len(founders["population"]) == 3
    assert yaml.safe_load((committed.folder / "params.yaml").read_text())["evolution"]["population"] == 3


def test_retrain_and_report_are_stages(committed):
    committed.run("dvc", "repro", "report@main")
    metrics = json.loads((committed.folder / "data/reports/main/metrics.json").read_text())
    assert metrics["best_perplexity"] > 1
    retrained = json.loads((committed.folder / "data/retrain/main/retrain.json").read_text())
    for entry in retrained["entries"]:
        assert (committed.folder / "data/retrain/main" / entry["checkpoint"]).exists()
    assert "best_perplexity" in committed.run("dvc", "metrics", "show")
    committed.run("dvc", "repro")
    committed.run("git", "add", "-A")
    committed.run("git", "commit", "-qm", "retrained")
    lock = (committed.folder / "dvc.lock").read_text()
    output = committed.run("dvc", "metrics", "show", "--all-commits", "--json")
    shown, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    kept = [
        found
        for revision, found in shown.items()
        if revision != "workspace" and "best_perplexity" in str(found)
    ]
    assert kept, "the metrics of a commit are kept"
    committed.run("git", "clone", "-q", str(committed.folder), str(committed.folder.parent / "again"))
    clone = Project(committed.folder.parent / "again", committed.environment)
    clone.run("dvc", "repro")
    assert (clone.folder / "dvc.lock").read_text() == lock
