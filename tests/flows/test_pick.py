"""From a run to a folder in one command: picked, trained longer, exported."""

from __future__ import annotations

import json
import re
import shutil

from star_core import load_exported
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from tests.flows.projects import Project


def test_the_choice_is_trained_once_and_exported(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project", finished.environment)
    before = project.generations(), project.evaluations()
    born = [m for found in stored_generations("main", project.folder / "data") for m in found.born if m.ok]
    best = min(born, key=lambda member: member.objectives["parameters"])
    command = ("star", "pick", "main", "--best", "parameters", "--max", "file_bytes=1e9")
    for refused, why in (("--format=gguf", r"LIV \d .*lfm2-norm"), ("--weights=int4", "--format")):
        assert re.search(why, project.run(*command, "--export", "model", refused, code=2))
    assert project.evaluations() == before[1], "what no format takes is not trained for it"
    said = project.run(*command, "--export", "model", "--format", "torch,hf")
    assert f"{best.id} has the best parameters of {len(born)} candidates within the limits" in said
    assert "What limits cost" in said[: said.index("model: ")], "the answer comes before the training"
    exported = load_exported(project.folder / "model")
    assert (project.folder / "model/hf/config.json").exists()
    assert exported.manifest.genome == best.genome
    assert exported.manifest.origin.tokens == 5 * 2 * 32
    # It alone was trained, and what the run has is as it was.
    path = comparison_path("main", "scaled", project.folder / "data", best.id)
    assert [entry.name for entry in read_comparison(path, "main", "scaled").entries] == [best.id]
    assert not (project.folder / "data/retrain").exists()
    assert project.generations() == before[0]
    known = project.evaluations()
    assert len(known) == len(before[1]) + 1
    # Once it is trained, its folder is all that is made.
    assert f"star export main:{best.id} --to FOLDER --scaled {best.id}" in project.run(*command)
    told = project.run(*command, "--export", "again", "--json")
    told = json.loads(told[told.index("{\n") :])
    assert (told["choice"]["id"], told["exported"]) == (best.id, "again")
    assert load_exported(project.folder / "again").manifest.weights == exported.manifest.weights
    assert project.evaluations() == known
    assert "a new or empty folder" in project.run(*command, "--export", "again", code=2)
    assert "none of" in project.run("star", "pick", "--max", "parameters=1", "--export", "none", code=1)
    assert not (project.folder / "none").exists()
    assert "Trained longer" not in project.run("star", "report", "main")
