"""The best of a run, trained longer and at another size."""

from __future__ import annotations

import json
import shutil

from star_core.genome import Genome
from star_core.genome.scaling import at_depth
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from star_core.training.checkpoint import load_checkpoint
from tests.flows.projects import Project


def test_the_front_at_another_width_and_depth(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project", finished.environment)
    output = project.run("star", "retrain", "main", "--width", "33", code=2)
    assert "width: 33" in output
    assert "Traceback" not in output
    said = project.run("star", "retrain", "main", "--width", "24", "--depth", "6", "--by", "stretch")
    assert "3 architectures retrained, best first" in said
    assert "star evaluate main --tasks FILE --scaled width-24-depth-6" in said
    page = project.folder / "data/reports/main/report.html"
    assert str(page) in said
    assert "Trained longer" not in page.read_text()
    path = comparison_path("main", "scaled", project.folder / "data", "width-24-depth-6")
    found = read_comparison(path, "main", "scaled")
    assert (found.parameters["model"]["width"], found.parameters["space"]["depth"]) == (24, 6)
    front = stored_generations("main", project.folder / "data")[-1].front
    assert [entry.name for entry in found.entries[:2]] == ["transformer++", "striped-hybrid"]
    best = found.entries[2]
    original = next(member for member in front if member.id == best.name)
    assert best.genome == str(at_depth(Genome.parse(original.genome), 6, "stretch"))
    weights = load_checkpoint(path.parent / best.checkpoint)
    assert (weights.architecture.width, weights.architecture.digest) == (24, best.digest)
    # The run itself is what it was.
    assert not (project.folder / "data/retrain").exists()
    # DVC keeps it, and can make it again.
    before = path.read_bytes(), (path.parent / best.checkpoint).read_bytes()
    assert "scaled@main-width-24-depth-6" not in project.run("dvc", "status")
    path.unlink()
    project.run("dvc", "checkout", "-q", "scaled@main-width-24-depth-6")
    assert (path.read_bytes(), (path.parent / best.checkpoint).read_bytes()) == before
    told = project.run("star", "retrain", "main", "--json")
    told = json.loads(told[told.index("{\n") :])
    assert "Trained longer" in page.read_text(), "the report tells of it at once"
    listed = [row["perplexity"] for row in told["architectures"]]
    assert listed == sorted(listed)
    assert len(listed) == 3
    assert told["report"] == str(page)
    assert "retrain@main" not in project.run("dvc", "status")
    project.run("dvc", "repro", "-q", "--single-item", "--force", "scaled@main-width-24-depth-6")
    assert (path.read_bytes(), (path.parent / best.checkpoint).read_bytes()) == before
