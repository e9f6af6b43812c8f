"""Runs are listed, compared and removed; parameters are changed on the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import yaml
from star_flows.commands.choice import begun, kept
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session

from star_core.errors import ConfigError, StarError
from star_core.population.generation import stored_generations
from tests.flows.projects import BIN, Project

HOLD = (
    "import sys; from star_flows.run.locks import exclusive; from star_flows.run.paths import RunPaths\n"
    "with exclusive(RunPaths('.', sys.argv[1])): print('held', flush=True); input()"
)


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished.environment)


def document(project, *command):
    """What a command prints on standard output, and nothing else may be there."""
    made = subprocess.run(
        [str(BIN / "star"), *command, "--json"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(made.stdout)


def test_runs_are_forked_listed_compared_and_removed(copied):
    before = {
        name: (copied.folder / name).read_bytes() for name in ("data/ledger.yaml", "dvc.lock", "params.yaml")
    }
    copied.run(
        "star", "resume", "main", "--from", "1", "--as", "tweak", "--set", "evolution.mutation_rate=0.5"
    )
    main, tweak = document(copied, "runs")["runs"]
    generations = stored_generations("main", copied.folder / "data")
    values = [member.objectives["perplexity"] for found in generations for member in found.born]
    assert main["best_perplexity"] == min(value for value in values if value is not None)
    assert (main["name"], main["generations"], main["parameters"]) == ("main", 2, "params.yaml")
    assert (main["forked_from"], main["state"]) == (None, "stored")
    assert (tweak["name"], tweak["forked_from"]) == ("tweak", "main, generation 1")
    assert tweak["parameters"] == "params-tweak.yaml"
    assert "main, generation 1" in copied.run("star", "runs")

    compared = document(copied, "runs", "compare", "main", "tweak")
    assert compared["parameters"] == [{"parameter": "evolution.mutation_rate", "main": 0.2, "tweak": 0.5}]
    assert compared["same_text"]
    assert [row["run"] for row in compared["hypervolume"]] == ["main", "tweak"]
    assert all(row["hypervolume"] > 0 for row in compared["hypervolume"])
    genomes = {member.genome for member in generations[-1].front}
    assert genomes <= {row["genome"] for row in compared["fronts"]}

    assert "remove tweak first" in copied.run("star", "runs", "remove", "main", "--yes", code=2)
    asked = copied.run("star", "runs", "remove", "tweak", code=1)  # nobody answers
    assert "data/populations/tweak" in asked
    evaluations = copied.evaluations()
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, "tweak"],
        cwd=copied.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert held.stdout is not None
    held.stdout.readline()
    assert f"process {held.pid} is working" in copied.run("star", "runs", "remove", "tweak", "--yes", code=2)
    held.communicate(b"\n")
    assert "compared with another one" in copied.run("star", "runs", "compare", "main", "main", code=2)
    removed = document(copied, "runs", "remove", "tweak", "--yes")
    assert {"forks@tweak", "generation@tweak-002", "prepare@tweak"} <= set(removed["stages"])
    assert {"data/populations/tweak", "data/reports/tweak", "params-tweak.yaml"} <= set(removed["files"])
    assert copied.evaluations() == evaluations
    assert not list(copied.folder.glob("data/*/tweak"))
    assert {name: (copied.folder / name).read_bytes() for name in before} == before
    assert [run["name"] for run in document(copied, "runs")["runs"]] == ["main"]


def test_changes_apply_to_a_call_or_begin_a_run(finished, copied):
    root = copied.folder
    paths = begun(root, "main", None, ["runtime.workers=3", "evolution.mutation_rate=0.2"])
    assert paths == RunPaths(str(root), "main", "params.yaml", changes=("runtime.workers=3",))
    assert Session(paths).workers == 3
    with pytest.raises(ConfigError, match=r"--as NAME --set evolution\.mutation_rate=0\.7"):
        begun(root, "main", None, ["evolution.mutation_rate=0.7"])
    with pytest.raises(ConfigError, match="star resume main --as NAME"):
        kept(root, "main", None, ["model.width=8"])
    with pytest.raises(StarError, match=r"--set: .*'speed'"):
        begun(root, "new", None, ["objectives.names=[perplexity,speed]"])
    assert not list(root.glob("params-*"))

    new = begun(root, "new", None, ["evolution.mutation_rate=0.7", "budget.tokens=0"])
    assert (new.params_file, new.changes) == ("params-new.yaml", ("budget.tokens=0",))
    written = yaml.safe_load((root / "params-new.yaml").read_text())
    stated = yaml.safe_load((root / "params.yaml").read_text())
    assert written == {**stated, "evolution": {**stated["evolution"], "mutation_rate": 0.7}}
    assert begun(root, "new", None, []).params_file == "params-new.yaml"
    (root / "params-new.yaml").write_text("# mine\n" + yaml.safe_dump(written))
    with pytest.raises(ConfigError, match="would lose its comments"):
        begun(root, "new", None, ["evolution.mutation_rate=0.8"])


def test_evolving_prints_a_document_and_refuses_what_the_run_is_not(copied):
    found = document(copied, "evolve", "--set", "runtime.workers=1")
    last = stored_generations("main", copied.folder / "data")[-1]
    assert (found["run"], found["generation"], found["ended"]) == ("main", 2, None)
    assert {row["genome"] for row in found["front"]} == {member.genome for member in last.front}
    assert [row["name"] for row in found["baselines"]] == ["transformer++", "striped-hybrid"]
    output = copied.run("star", "evolve", "--set", "training.steps=9", code=2)
    assert "--as NAME --set training.steps=9" in output
    assert "`star evolve --set budget.tokens=1 --generations 4`" in copied.run(
        "star", "evolve", "--set", "budget.tokens=1"
    )


def test_commands_of_stored_stages_are_still_those_of_dvc_yaml(copied):
    """The old spelling of a run stays there: another one would make every stored stage stale."""
    status = copied.run("dvc", "status", "--json")
    assert "changed command" not in status
    output = copied.run("dvc", "repro", "--force", "--single-item", "generation@main-001")
    assert "deprecated" not in output
    lock = yaml.safe_load((copied.folder / "dvc.lock").read_text())["stages"]
    assert lock["generation@main-001"]["cmd"] == ("star generation --run main --params params.yaml --index 1")
