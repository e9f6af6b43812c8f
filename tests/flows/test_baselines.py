"""Baselines that failed: at a limit, tried again when it is raised; all of them, never called complete."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from star_flows.commands.evolve import is_complete, show
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session

from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from star_core.storage.evaluations import EvaluationStore
from tests.flows.projects import Project


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished.environment)


def fail(project, count, status, **limits):
    """Makes the first baselines of a finished project failures, in their file and in the store."""
    path = comparison_path("main", "baselines", project.folder / "data")
    found, store = (
        read_comparison(path, "main", "baselines"),
        EvaluationStore(str(project.folder / ".star/evaluations")),
    )
    for entry in found.entries[:count]:
        known = store.find(entry.key, entry.digest)
        store.put(replace(known, status=status, metrics={}, detail="forged", limits=limits))
    nothing = {"status": status, "objectives": dict.fromkeys(found.entries[0].objectives)}
    failed = tuple(entry.model_copy(update=nothing) for entry in found.entries[:count])
    found.model_copy(update={"entries": (*failed, *found.entries[count:])}).write(path)
    return path


def test_a_higher_limit_is_another_try_for_baselines(copied):
    path = comparison_path("main", "baselines", copied.folder / "data")
    before = path.read_bytes()
    fail(copied, 1, "timed_out", deadline_seconds=0.01)
    assert path.read_bytes() != before
    output = copied.run("star", "evolve")
    assert "is complete" not in output
    assert path.read_bytes() == before
    assert "is complete" in copied.run("star", "evolve")


def test_what_no_limit_failed_is_not_tried_again(copied):
    path = fail(copied, 1, "crashed")
    before = path.read_bytes()
    assert "is complete" in copied.run("star", "evolve")
    assert path.read_bytes() == before


def test_a_run_without_any_baseline_is_never_complete(copied, capsys):
    path = comparison_path("main", "baselines", copied.folder / "data")
    fail(copied, len(read_comparison(path, "main", "baselines").entries), "crashed")
    paths = RunPaths(str(copied.folder), "main")
    session, found = Session(paths), stored_generations("main", paths.data)
    assert not is_complete(session, found, found[-1].index)
    show(paths)
    assert "No baseline could be trained" in " ".join(capsys.readouterr().out.split())
