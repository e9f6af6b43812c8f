"""`star evolve` as a user runs it: to the end, again, further, killed, on changed input."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time

import pytest
import yaml

from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from tests.flows.prefect_api import Api
from tests.flows.projects import Project


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished.environment)


def test_a_run_leaves_generations_baselines_report_and_ledger(finished):
    generations = stored_generations("main", finished.folder / "data")
    assert [generation.index for generation in generations] == [0, 1, 2]
    assert generations[-1].front
    path = comparison_path("main", "baselines", finished.folder / "data")
    assert [entry.name for entry in read_comparison(path, "main", "baselines").entries] == [
        "transformer++",
        "striped-hybrid",
    ]
    assert (finished.folder / "data/reports/main/report.html").stat().st_size > 10_000
    ledger = yaml.safe_load((finished.folder / "data/ledger.yaml").read_text())["ledger"]
    assert list(ledger["generations"]) == ["main-001", "main-002"]
    lock = yaml.safe_load((finished.folder / "dvc.lock").read_text())["stages"]
    assert {
        "prepare@main",
        "baselines@main",
        "founders@main",
        "generation@main-001",
        "generation@main-002",
    } <= set(lock)


def test_every_candidate_was_trained_once(finished):
    generations = stored_generations("main", finished.folder / "data")
    keys = {member.key for generation in generations for member in generation.born}
    baselines = read_comparison(
        comparison_path("main", "baselines", finished.folder / "data"), "main", "baselines"
    )
    keys |= {entry.key for entry in baselines.entries}
    assert {name.removesuffix(".json") for name in finished.evaluations()} == keys


def test_again_says_complete_and_further_goes_on_and_is_seen_in_prefect(copied):
    before, evaluations = copied.generations(), copied.evaluations()
    output = copied.run("star", "evolve")
    assert "complete" in output
    assert "--generations 4" in output
    assert (copied.generations(), copied.evaluations()) == (before, evaluations)
    copied.run("star", "evolve", "--generations", "3")
    after = copied.generations()
    assert set(after) - set(before) == {"gen_003.json"}
    assert {name: after[name] for name in before} == before
    assert evaluations.items() <= copied.evaluations().items()
    rows = population_in_the_prefect_ui(copied)
    assert all({"individual", "genome", "perplexity", "inference cache", "front"} <= set(row) for row in rows)
    last = stored_generations("main", copied.folder / "data")[-1]
    assert {row["genome"] for row in rows} == {member.genome for member in last.population}


def population_in_the_prefect_ui(project):
    """The newest table of the project's population."""
    api = Api(project.environment["PREFECT_API_URL"])  # where other tests' runs are as well
    root = str(project.folder)
    mine = [run["id"] for run in api.flow_runs() if run["parameters"].get("session", {}).get("root") == root]
    wanted = {"key": {"any_": ["main-population"]}, "flow_run_id": {"any_": mine}}
    newest = max(api.post("/artifacts/filter", artifacts=wanted), key=lambda artifact: artifact["created"])
    return json.loads(newest["data"])


def test_deleted_generations_come_back_the_same_without_training(copied):
    before, evaluations = copied.generations(), copied.evaluations()
    shutil.rmtree(copied.folder / "data/populations")
    copied.run("star", "evolve")
    assert copied.generations() == before
    assert copied.evaluations() == evaluations


def test_deleted_evaluations_cost_time_and_nothing_else(copied):
    before = copied.generations()
    shutil.rmtree(copied.folder / "data/populations/main")
    shutil.rmtree(copied.folder / ".star")
    copied.run("star", "evolve", "--generations", "1")
    assert copied.generations().items() <= before.items()


def test_killed_anywhere_it_goes_on_and_ends_with_the_same_bytes(finished, environment, tmp_path):
    project = Project.create(tmp_path / "project", environment)
    random_numbers, seen = random.Random(7), {}
    # First while it starts, then at random instants after one or two more candidates are done.
    for progress in (0, 2, 1, 2):
        process = project.start("star", "evolve")
        while process.poll() is None and len(project.evaluations()) < len(seen) + progress:
            time.sleep(0.01)
        instant = time.monotonic() + random_numbers.uniform(0.0, 0.8 if progress else 3.0)
        while process.poll() is None and time.monotonic() < instant:
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        now = project.evaluations()
        assert seen.items() <= now.items(), "a finished candidate was trained again"
        seen = now
    assert 5 <= len(seen) < len(finished.evaluations())
    project.run("star", "evolve")
    assert project.generations() == finished.generations()
    assert seen.items() <= project.evaluations().items()
    for name in ("data/baselines/main/baselines.json", "data/ledger.yaml", "dvc.lock"):
        assert (project.folder / name).read_bytes() == (finished.folder / name).read_bytes()
    assert not list(project.folder.glob("data/**/.*.tmp"))


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("evolution", {"population": 6}, "params.yaml, evolution.population: 6"),
        ("training", {"steps": 4}, "params.yaml, training.steps: 4"),
        ("objectives", {"preset": "qualty"}, "no such preset of objectives"),
        ("evolution", {"popluation": 6}, "did you mean 'population'"),
        ("data", {"source": "nowhere.txt"}, "params.yaml, data.source: 'nowhere.txt'"),
        ("model", {"width": 60}, "params.yaml"),
        ("runtime", {"storage": "bogus://x"}, "runtime.storage"),
        ("training", {"accelerator": "gpu"}, "training.accelerator"),
    ],
)
def test_changed_or_wrong_parameters_are_one_message_and_exit_code_2(copied, section, value, message):
    before = copied.generations()
    path = copied.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params[section] = {**params.get(section, {}), **value}
    path.write_text(yaml.safe_dump(params))
    output = copied.refused("evolve")
    assert message in output
    assert "Fix:" in output
    assert "Traceback" not in output
    assert copied.generations() == before


def test_an_edit_during_the_run_is_not_recorded_as_used(environment, tmp_path):
    project = Project.create(tmp_path / "project", environment, generations=1)
    path = project.folder / "params.yaml"
    before = path.read_text()
    process = project.start("star", "evolve")
    while process.poll() is None and not project.generations():
        time.sleep(0.01)
    path.write_text(before.replace("steps: 3", "steps: 4"))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "params.yaml: changed while the run went on" in output
    path.write_text(before)
    project.run("star", "evolve")
    assert "steps: 4" not in (project.folder / "dvc.lock").read_text()


def test_a_higher_deadline_is_another_try(environment, tmp_path):
    runtime = {"workers": 2, "patience_seconds": 1, "deadline_seconds": 0.02}
    project = Project.create(tmp_path / "project", environment, runtime=runtime, generations=0)
    output = project.run("star", "evolve", code=2)
    assert "4 timed_out" in output
    path = project.folder / "params.yaml"
    path.write_text(path.read_text().replace("0.02", "300"))
    project.run("star", "evolve")
    assert all(member.ok for member in stored_generations("main", project.folder / "data")[0].population)


def test_a_changed_text_is_refused_and_the_prepared_corpus_kept(copied):
    tokens = {path.name: path.read_bytes() for path in (copied.folder / "data/tokens/main").iterdir()}
    text = (copied.folder / "corpus.txt").read_text()
    (copied.folder / "corpus.txt").write_text(text + "One more line.")
    # The prepared corpus is what the run was made from, so it goes on with that.
    assert "complete" in copied.run("star", "evolve")
    shutil.rmtree(copied.folder / "data/tokens/main")
    output = copied.run("star", "evolve", "--generations", "3", code=2)
    assert "the text is not the one that run 'main' was made from" in output
    (copied.folder / "corpus.txt").write_text(text)
    copied.run("star", "evolve")
    assert {path.name: path.read_bytes() for path in (copied.folder / "data/tokens/main").iterdir()} == tokens


def test_a_tampered_corpus_is_refused(copied):
    path = copied.folder / "data/tokens/main/train.bin"
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)
    before = copied.generations()
    output = copied.run("star", "evolve", "--generations", "3", code=2)
    assert "train.bin: its SHA-256 is not the one in meta.json" in output
    assert copied.generations() == before


def test_a_run_whose_report_is_missing_is_not_complete(copied):
    (copied.folder / "data/reports/main/report.html").unlink()
    shutil.rmtree(copied.folder / "data/baselines")
    assert "complete" not in copied.run("star", "evolve")
    assert (copied.folder / "data/reports/main/report.html").exists()
    assert comparison_path("main", "baselines", copied.folder / "data").exists()


def test_retraining_by_other_parameters_is_refused(copied):
    path = copied.folder / "other.yaml"
    path.write_text((copied.folder / "params.yaml").read_text().replace("width: 16", "width: 32"))
    output = copied.refused("retrain", "main", "--params", "other.yaml")
    assert "other.yaml, model.width: 32" in output


@pytest.mark.parametrize(
    ("ledger", "message"),
    [
        ("ledger: {runs: {main: x}, generations: {}}", "ledger.yaml, runs.main"),
        ("[", "ledger.yaml: cannot be read"),
    ],
)
def test_a_malformed_ledger_is_one_message(copied, ledger, message):
    (copied.folder / "data/ledger.yaml").write_text(ledger)
    output = copied.refused("evolve")
    assert message in output
    assert "Traceback" not in output


def test_a_malformed_lock_file_costs_a_commit(copied):
    (copied.folder / "dvc.lock").write_text("stages: []")
    output = copied.run("star", "evolve", code=2)
    assert "dvc.lock" in output
    assert "Traceback" not in output


def test_a_parameter_file_that_cannot_stand_in_a_stage_is_refused(copied):
    shutil.copy(copied.folder / "params.yaml", copied.folder / "my params.yaml")
    output = copied.refused("evolve", "other", "--params", "my params.yaml")
    assert "under DVC the parameter file" in output


def test_a_server_that_does_not_answer_is_one_message(copied):
    there = copied.environment
    copied.environment = {**there, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    output = copied.run("star", "evolve", "--generations", "3", code=2)
    assert "the Prefect server cannot be used" in output
    assert "Traceback" not in output


def test_a_tampered_generation_is_refused_and_not_overwritten(copied):
    path = copied.folder / "data/populations/main/gen_001.json"
    content = json.loads(path.read_text())
    content["population"][0]["objectives"]["perplexity"] = 1.0
    path.write_text(json.dumps(content))
    before = copied.generations()
    output = copied.refused("evolve")
    assert "gen_001.json" in output
    assert "it was changed" in output
    assert "Traceback" not in output
    assert copied.generations() == before


def test_a_section_that_dvc_watches_must_be_stated(copied):
    path = copied.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    del params["objectives"]
    path.write_text(yaml.safe_dump(params))
    assert "add the line `objectives: {}`" in copied.refused("evolve")


def test_an_empty_corpus_is_an_error_before_any_training(environment, tmp_path):
    project = Project.create(tmp_path / "project", environment)
    (project.folder / "corpus.txt").write_text("")
    output = project.run("star", "evolve", code=2)
    assert "corpus.txt" in output
    assert "Traceback" not in output
    assert not project.evaluations()


def test_a_store_that_cannot_be_written_is_an_error_that_loses_nothing(copied):
    shutil.rmtree(copied.folder / "data/populations/main")
    evaluations = copied.evaluations()
    victim = sorted(evaluations)[0]
    (copied.folder / ".star/evaluations" / victim[:2] / victim).unlink()
    shutil.rmtree(copied.folder / ".star/evaluations" / victim[:2])
    (copied.folder / ".star/evaluations" / victim[:2]).write_text("in the way")
    output = copied.run("star", "evolve", code=2)
    assert "cannot be" in output
    assert "Traceback" not in output
    (copied.folder / ".star/evaluations" / victim[:2]).unlink()
    copied.run("star", "evolve")
    kept = {name: content for name, content in evaluations.items() if name[:2] != victim[:2]}
    assert kept.items() <= copied.evaluations().items()


def test_a_second_process_on_the_same_run_is_refused(copied):
    first = copied.start("star", "evolve", "--generations", "9")
    lock = copied.folder / ".star/locks/main.lock"
    lock.write_text("")
    for _ in range(400):
        if lock.read_text():
            break
        time.sleep(0.05)
    try:
        output = copied.run("star", "evolve", "--generations", "9", code=2)
        assert f"process {first.pid} is working on this run" in output
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()


def test_failures_are_outcomes_and_the_run_goes_on(environment, tmp_path):
    # A learning rate beyond all reason makes candidates diverge; the deadline is not reached.
    training = {
        "steps": 12,
        "batch_size": 2,
        "sequence_length": 32,
        "validation_tokens": 256,
        "learning_rate": 1e4,
    }
    project = Project.create(tmp_path / "project", environment, training=training, generations=0)
    process = project.start("star", "evolve")
    output, _ = process.communicate(timeout=200)
    if process.returncode == 2:
        assert "no founder could be trained" in output
        assert "learning_rate" in output
    else:
        assert process.returncode == 0, output
        statuses = {
            member.status for member in stored_generations("main", project.folder / "data")[0].population
        }
        assert "diverged" in statuses
    assert "Traceback" not in output
