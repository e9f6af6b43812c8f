"""A stored run goes on elsewhere, is forked, and is made again and compared."""

from __future__ import annotations

import shutil

import pytest
import yaml
from star_flows.commands.reproduce import verdict

from star_core.analysis.run.reproduction import compare
from star_core.evaluation import evaluation_key
from star_core.machine import machine_fingerprint
from star_core.population.generation import read_generation, stored_generations
from tests.analysis.runs import generation, individual
from tests.flows.projects import Project


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", finished.environment)


def test_on_another_machine_a_pulled_run_goes_on(copied, tmp_path):
    copied.run("dvc", "remote", "add", "-d", "store", str(tmp_path / "remote"))
    copied.run("dvc", "push", "-q")
    copied.run("git", "add", "-A")
    copied.run("git", "commit", "-qm", "a run")
    copied.run("star", "resume", "main", "--generations", "3")
    copied.run("git", "clone", "-q", str(copied.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", copied.environment)
    (clone.folder / "corpus.txt").unlink()  # the text need not be there
    output = clone.run("star", "resume", "main", code=2)
    assert "generations up to 2, here is none" in output
    assert "dvc pull" in output
    stages = ["prepare@main", "founders@main", "generation@main-001", "generation@main-002"]
    clone.run("dvc", "pull", "-q", *stages)
    clone.run("star", "resume", "main", "--generations", "3")
    assert clone.generations() == copied.generations()


def test_a_fork_knows_where_it_comes_from(copied):
    before, evaluations = copied.generations(), copied.evaluations()
    (copied.folder / "corpus.txt").unlink()
    copied.run(
        "star", "resume", "main", "--from", "1", "--as", "tweak",
        "--set", "evolution.mutation_rate=0.5", "--generations", "2",
    )  # fmt: skip
    assert copied.generations() == before
    first, second = stored_generations("tweak", copied.folder / "data")
    assert (first.index, second.index) == (1, 2)
    main = read_generation(copied.folder / "data/populations/main/gen_001.json")
    assert first.parent is not None
    assert (first.parent.run, first.parent.digest) == ("main", main.digest)
    # Only the search has changed: the population is the same, and nothing of it was trained again.
    assert first.population == main.population
    assert second.parameters["evolution"]["mutation_rate"] == 0.5
    new = set(copied.evaluations()) - set(evaluations)
    assert new <= {f"{member.key}.json" for member in second.born}
    lock = yaml.safe_load((copied.folder / "dvc.lock").read_text())["stages"]
    assert "data/populations/main/gen_001.json" in [dep["path"] for dep in lock["forks@tweak"]["deps"]]
    assert "generation@tweak-002" in lock
    page = (copied.folder / "data/reports/tweak/report.html").read_text()
    assert "main, generation 1" in page
    # Again: it goes on with the same fork; another origin under this name is refused.
    copied.run("star", "resume", "main", "--from", "1", "--as", "tweak", "--generations", "2")
    output = copied.run("star", "resume", "main", "--from", "2", "--as", "tweak", code=2)
    assert "another run has this name" in output


def test_a_fork_under_another_recipe_trains_its_population_anew(copied):
    copied.run("star", "resume", "main", "--as", "longer", "--set", "training.steps=4", "--generations", "2")
    (only,) = stored_generations("longer", copied.folder / "data")
    main = read_generation(copied.folder / "data/populations/main/gen_002.json")
    assert {member.genome for member in only.born} == {member.genome for member in main.population}
    assert not {member.key for member in only.born} & {member.key for member in main.population}
    assert {member.cost.tokens for member in only.born} == {4 * 2 * 32}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "no generation of this run is stored"),
        (["main", "--from", "1"], "add --as NAME"),
        (["main", "--set", "evolution.seed=1"], "add --as NAME"),
        (["main", "--as", "main"], "another run has this name"),
        (["main", "--as", "../x"], "letters, digits"),
        (["main", "--as", "x", "--from", "9"], "no such generation"),
        (["main", "--as", "x", "--set", "evolution.sed=1"], "did you mean 'seed'"),
        (["main", "--as", "x", "--set", "evolution"], "section.key=value"),
        (["main", "--as", "x", "--set", "space.depth=4"], "3"),
        (["main", "--as", "x", "--set", "generations=1"], "before"),
    ],
)
def test_what_cannot_be_resumed_is_one_message(copied, arguments, message):
    output = copied.run("star", "resume", *arguments, code=2)
    assert message in output
    assert "Traceback" not in output
    assert not (copied.folder / "data/populations/x").exists()
    assert not (copied.folder / "params-x.yaml").exists()


def test_a_generation_reproduces_exactly_and_leaves_nothing(copied):
    before, evaluations = copied.generations(), copied.evaluations()
    output = copied.run("star", "reproduce", "main", "--generation", "1")
    assert "exact" in output
    assert (copied.generations(), copied.evaluations()) == (before, evaluations)
    assert not list((copied.folder / ".star/reproduce").iterdir())


def test_a_generation_that_was_not_made_like_this_is_told_apart(copied):
    path = copied.folder / "data/populations/main/gen_002.json"
    generation = read_generation(path)
    member = generation.population[0]
    forged = member.model_copy(update={"objectives": {**member.objectives, "perplexity": 1.5}})
    generation.model_copy(update={"population": (forged, *generation.population[1:])}).write(path)
    output = copied.run("star", "reproduce", "main", code=1)
    assert "different in 1 place" in output
    assert f"{member.id}, objectives.perplexity" in output
    assert "1.5" in output


def test_why_two_machines_differ_is_said():
    here, born = machine_fingerprint("auto"), individual(perplexity=10.0)
    there = {**here, "instruction_set": "default", "vendor": "HygonGenuine"}
    hand = generation(0, [born])
    params, data = hand.params(), hand.data_digest
    key = evaluation_key(born.digest, params, data, machine=there)
    stored = generation(0, [born.model_copy(update={"key": key})])
    output = verdict(stored, compare(stored, hand, 0.02), 0.02)
    (said, *_) = output.parts
    assert "another type of machine than this one: vendor HygonGenuine there" in str(said)
    assert "instruction set default there" in str(said)
    assert "vendor" not in str(verdict(hand, compare(hand, hand, 0.02), 0.02).parts[0])
