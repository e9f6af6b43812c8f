"""Budgets: where they stop a run, that nothing is lost by it, and that ``star plan`` foresees it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from star_flows.candidates.batch import Batch
from star_flows.commands.calibration import calibrated_pace
from star_flows.commands.plan import plan_of
from star_flows.run.budget import Account, BudgetSpent, limited
from star_flows.run.display import Display
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session
from star_flows.run.trainer import Trained

from star_core.config import Budget, Model, Training
from star_core.errors import ConfigError, StarError
from star_core.evaluation import Evaluation, Job
from star_core.genome.baselines import baseline
from star_core.planning.plan import Stage
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations
from tests.flows.projects import TINY, Project

RECIPE = Training(steps=10, batch_size=2, sequence_length=5)
TOKENS = TINY["training"]["steps"] * TINY["training"]["batch_size"] * TINY["training"]["sequence_length"]
BASELINES, POPULATION = 2, TINY["evolution"]["population"]
ALL = BASELINES + 3 * POPULATION
# The clock of this one counts finished candidates, so that where it stops does not depend on the machine.
BY_CANDIDATES = """
import sys
from pathlib import Path
from star_flows.commands.evolve import evolve_command
from star_flows.run.paths import RunPaths
clock = lambda: float(len(list(Path(".star/evaluations").glob("*/*.json"))))
evolve_command(RunPaths(str(Path.cwd()), "main"), None, max_seconds=float(sys.argv[1]), clock=clock)
"""


def job(name: str, training: Training = RECIPE) -> Job:
    return Job("g", "paper", Model(), training, "d", "0" * 64, name, name, "s")


def account(elapsed=lambda: 0.0, counted=None, **budget):
    return Account(Budget(**budget), RECIPE, counted or {}, elapsed)


def test_a_candidate_is_begun_while_its_tokens_fit():
    found = account(tokens=399, counted={"old": 100})
    for name in ("a", "b"):
        assert found.spent(job(name)) is None
        found.count(job(name))
    assert found.tokens == 300
    assert found.spent(job("c")) == "tokens"
    assert account(tokens=400, counted={"old": 300}).spent(job("c")) is None


def test_an_architecture_counts_once_and_again_only_after_it_was_put_off():
    found = account(tokens=200)
    for _ in range(2):  # it begins, and is there
        found.count(job("a"))
    assert found.tokens == 100
    found.count(job("b"))
    assert found.spent(job("c")) == "tokens"
    assert found.spent(job("a")) is None  # its evaluation was deleted: paid for already
    found.put_off(job("b"))
    assert found.tokens == 100
    assert found.spent(job("c")) is None


def test_a_training_that_goes_on_costs_what_is_new():
    found, half = account(tokens=100), replace(job("a/5"), stop=5)
    found.count(half)
    assert found.tokens == 50
    assert found.spent(job("b")) == "tokens"
    whole = replace(job("a"), resume="a/5")
    assert found.spent(whole) is None
    found.count(whole)
    assert found.tokens == 100
    found.put_off(whole)
    assert found.tokens == 50


def test_retraining_takes_nothing_from_the_tokens():
    found, longer = account(tokens=0), job("a", RECIPE.model_copy(update={"steps": 20}))
    assert found.spent(longer) is None
    found.count(longer)
    assert found.tokens == 0
    assert found.spent(job("a")) == "tokens"


def test_seconds_run_by_the_clock_and_bind_retraining_too():
    now = [0.0]
    found = account(lambda: now[0], seconds=5)
    now[0] = 4.9
    assert found.spent(job("a")) is None
    found.begin(job("a"))
    now[0] = 5.0
    assert found.spent(job("b")) == "seconds"
    assert found.spent(job("b", RECIPE.model_copy(update={"steps": 20}))) == "seconds"


def test_seconds_that_the_start_has_used_up_are_enough_for_one_candidate():
    found = account(lambda: 12.0, seconds=5)
    found.count(job("stored"))
    assert found.spent(job("a")) is None
    found.begin(job("a"))
    assert found.spent(job("b")) == "seconds"
    found.put_off(job("a"))  # others train it: that is progress too, and not waited for
    assert found.spent(job("b")) == "seconds"
    assert account(lambda: 12.0, seconds=0).spent(job("a")) == "seconds"
    assert account(lambda: 12.0, seconds=5, tokens=99).spent(job("a")) == "tokens"


def test_what_is_left_is_an_error_that_says_what_to_do():
    found = account(tokens=50)
    found.require([])
    assert found.ended is None
    # A user's error where a command was to make one thing: exit code 2, so that DVC sees it failed.
    with pytest.raises(StarError, match=r"budget.tokens: 50: .* 2 of the candidates .* Fix: raise it"):
        found.require([job("a"), job("b")])
    assert (found.ended.limit, found.ended.left) == ("tokens", 2)


def test_the_command_line_states_limits_in_place_of_the_file():
    assert limited(Budget(tokens=5, seconds=6), 7, None) == Budget(tokens=7, seconds=6)
    assert limited(Budget(tokens=5), None, 0.0) == Budget(tokens=5, seconds=0)
    with pytest.raises(ConfigError, match="--max-seconds: nan"):
        limited(Budget(), None, float("nan"))


class Waiting:
    """Training as ``train_all`` sees it: a candidate takes ten seconds of a clock that only it moves."""

    workers, cluster = 1, None

    def __init__(self, budget: Budget) -> None:
        self.now, self.begun, self.display = 0.0, [], Display.silent()
        self.trainer, self.done = self, None
        self.account = Account(budget, RECIPE, {}, lambda: self.now)

    def stored(self, _job):
        return None

    def is_busy(self, _job):
        return False

    def submit(self, _session, name, _job):
        self.begun.append(name)
        self.now += 10
        self.done = name
        return self

    def add_done_callback(self, put):
        put(self)

    def result(self):
        return Trained(Evaluation(self.done, "", "", "crashed", {}, "", 0, 0, {}, {}, {}, ""), cached=False)


def test_seconds_are_kept_within_one_candidate():
    session, done = Waiting(Budget(seconds=25)), []
    with pytest.raises(BudgetSpent) as caught:
        Batch(session, {name: job(name) for name in "abcde"}, session.submit, done.append).run()
    assert (session.begun, session.now, done) == (["a", "b", "c"], 30, [1, 2, 3])
    assert (caught.value.limit, caught.value.left) == ("seconds", 2)


def foreseen(project: Project, **budget: float):
    """The plan of a project as it stands now."""
    session = Session(RunPaths(str(project.folder), "main"), budget=Budget(**budget))
    return plan_of(session, calibrate=False)


def flops(stage: Stage) -> list[float]:
    """FLOPs of what a stage is to train, most first."""
    return [load.flops for load in stage.loads]


def born(project: Project, index: int) -> list[int]:
    """FLOPs of what generation ``index`` trained, most first."""
    made = stored_generations("main", project.folder / "data")[index]
    return sorted((individual.cost.flops for individual in made.born), reverse=True)


def test_a_run_in_parts_by_tokens_and_seconds_ends_as_planned_and_as_one_undisturbed(
    finished, environment, tmp_path, monkeypatch
):
    project = Project.create(tmp_path / "project", environment)
    monkeypatch.chdir(project.folder)

    # Nothing is stored or measured yet: the calibration leaves nothing behind.
    output = project.run("star", "plan")
    assert "From a calibration just now" in " ".join(output.split())
    assert not project.evaluations()

    room = BASELINES + POPULATION + 2
    before = foreseen(project, tokens=room * TOKENS + TOKENS - 1)
    assert [stage.left for stage in before.stages] == [BASELINES, POPULATION, POPULATION, POPULATION]
    assert [stage.known for stage in before.stages] == [True, True, False, False]
    assert sum(stage.left_tokens for stage in before.stages) == ALL * TOKENS
    assert [(passage.stage.title, passage.begun, passage.limit) for passage in before.passages()][-1] == (
        "generation 1",
        2,
        "tokens",
    )
    limit = room * TOKENS + TOKENS - 1
    output = project.run("star", "evolve", "--max-tokens", str(limit))
    assert f"Stopped: the next candidate does not fit the budget of {limit:,} tokens" in output
    assert f"{room * TOKENS:,} tokens trained in the run, {ALL - room} candidates left" in output
    assert f"`star evolve --max-tokens {ALL * TOKENS}` goes on" in output
    assert (project.folder / "data/reports/main/report.html").exists()
    seen = project.evaluations()
    assert len(seen) == room
    assert list(project.generations()) == ["gen_000.json"]
    path = comparison_path("main", "baselines", project.folder / "data")
    costs = [entry.cost.flops for entry in read_comparison(path, "main", "baselines").entries]
    assert flops(before.stages[0]) == sorted(costs, reverse=True)
    assert flops(before.stages[1]) == born(project, 0)

    # What is stored of a generation in the making is not planned again; its pace is known now.
    after = foreseen(project, tokens=room * TOKENS)
    assert [(stage.title, stage.stored, stage.left) for stage in after.stages] == [
        ("generation 1", 2, POPULATION - 2),
        ("generation 2", 0, POPULATION),
    ]
    assert after.trained == room * TOKENS
    assert after.pace is not None
    assert "finished trainings of this recipe" in after.pace.source
    assert [(passage.begun, passage.limit) for passage in after.passages()] == [(0, "tokens")]

    script = project.folder / ".star" / "by_candidates.py"
    script.write_text(BY_CANDIDATES)
    output = project.run(sys.executable, str(script), str(ALL - 3))
    assert f"Stopped: the budget of {ALL - 3} s is spent after {ALL - 3} s" in output
    assert f"3 candidates left. `star evolve --max-seconds {ALL - 3}` goes on" in output
    now = project.evaluations()
    assert len(now) == ALL - 3
    assert seen.items() <= now.items(), "a finished candidate was trained again"
    middle = foreseen(project)
    assert [(stage.title, stage.stored, stage.left) for stage in middle.stages] == [("generation 2", 1, 3)]

    project.run("star", "evolve", "--max-tokens", str(ALL * TOKENS))
    assert now.items() <= project.evaluations().items()
    assert project.generations() == finished.generations()
    for name in ("data/baselines/main/baselines.json", "data/ledger.yaml", "dvc.lock"):
        assert (project.folder / name).read_bytes() == (finished.folder / name).read_bytes()
    assert set(flops(after.stages[0])) <= set(born(project, 1))
    assert set(flops(middle.stages[0])) <= set(born(project, 2))
    assert not foreseen(project).stages
    assert "nothing is left to train up to generation 2" in project.run("star", "plan")


def test_a_calibration_says_how_far_it_is(finished):
    session, said = Session(RunPaths(str(finished.folder), "main")), []
    failed = Evaluation("0" * 64, "0" * 64, "11111", "crashed", {}, "", 0, 0, {}, {}, {}, "")
    pool = SimpleNamespace(run=lambda job: failed)
    session.trainer = SimpleNamespace(pool=pool, runtime=session.params.runtime)
    specs = [session.problem.compile(baseline("transformer++", 3))]
    assert calibrated_pace(session, specs, lambda *counts: said.append(counts)) is None
    count = said[0][1]
    assert said == [(done, count) for done in range(count + 1)]
    assert count >= 2


def test_without_seconds_nothing_is_begun_and_that_is_no_error(environment, tmp_path):
    project = Project.create(tmp_path / "project", environment)
    output = project.run("star", "evolve", "--max-seconds", "0")
    assert "Stopped: the budget of 0 s is spent" in output
    assert f"{ALL} candidates left" in output
    assert "Traceback" not in output
    assert not project.evaluations()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params", "missing.yaml"], "missing.yaml: cannot be read"),
        (["../up"], "a run's name"),
        (["--max-seconds", "inf"], "--max-seconds: inf: a finite number of seconds"),
        (["--max-tokens", "-1"], "--max-tokens"),
    ],
)
def test_wrong_arguments_of_a_plan_are_one_message(tmp_path, arguments, message):
    project = Project(tmp_path, {**os.environ, "COLUMNS": "200"})
    (tmp_path / "params.yaml").write_text("{}")
    output = project.refused("plan", *arguments)
    assert message in output
    assert "Traceback" not in output


def test_a_plan_refuses_what_evolving_would(finished, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text((finished.folder / "params.yaml").read_text().replace("width: 16", "width: 32"))
    project = Project(finished.folder, finished.environment)
    output = project.refused("plan", "--params", str(path))
    assert "model.width: 32" in output or "under DVC the parameter file" in output
    assert "Fix:" in output
