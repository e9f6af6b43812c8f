"""The steps of a generation below the command line: what a session hands down, and what tasks pass on."""

from __future__ import annotations

import io
import pickle
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prefect import task
from prefect.cache_policies import NO_CACHE
from rich.console import Console
from star_flows.commands.resume import take_corpus
from star_flows.generation import parent_of
from star_flows.halving import promote
from star_flows.retrain import best_of
from star_flows.run.display import Display, summary
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session
from star_flows.run.uncached_task import uncached_task
from star_flows.tasks import adopt, compile_candidates, evaluate, recombine_and_mutate, sample, survive

from star_core.config import Budget, Data, params_from
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import load_tokens
from star_core.errors import DataError, StoreError
from star_core.population.generation import read_generation
from tests.evolution.experiments import pretended
from tests.flows.projects import TINY, corpus


@pytest.fixture
def session(tmp_path) -> Session:
    """A session on a prepared corpus, without a server, a store or a process."""
    (tmp_path / "corpus.txt").write_text(corpus())
    values = {**TINY, "data": {"source": str(tmp_path / "corpus.txt")}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    paths = RunPaths(str(tmp_path), "main")
    made = Session(paths)
    prepare(made.params.data, paths.tokens)
    return made


def made_by_hand(session: Session, index: int, source: str | None = None):
    """A generation from its tasks, with pretended evaluations in place of trainings."""
    parent = parent_of(session, index, source)
    if parent is None:
        offspring = sample.fn(session)
    else:
        offspring = (adopt if source else recombine_and_mutate).fn(session, parent)
    genomes = {child.id: child.genome for child in offspring}
    architectures = compile_candidates.fn(session, genomes)
    evaluations = {
        child.id: pretended(session.problem, child.genome, child.digest, failing=0) for child in offspring
    }
    assessed = evaluate.fn(session, offspring, architectures, evaluations, {})
    return offspring, architectures, evaluations, survive.fn(session, parent, assessed)


def test_tasks_pass_typed_objects_and_the_last_one_stores_the_generation(session):
    offspring, architectures, _, founders = made_by_hand(session, 0)
    assert {child.id: child.digest for child in offspring} == {
        name: architecture.digest for name, architecture in architectures.items()
    }
    assert read_generation(session.paths.generation(0), "main", 0) == founders
    _, _, _, next_one = made_by_hand(session, 1)
    assert next_one.parent.digest == founders.digest
    assert parent_of(session, 2) == next_one


def test_candidates_that_cost_most_come_first_whatever_their_order(session):
    genomes = {child.id: child.genome for child in sample.fn(session)}
    compiled = compile_candidates.fn(session, genomes)
    costs = [found.flops_per_token(32) for found in compiled.values()]
    assert costs == sorted(costs, reverse=True)
    backwards = dict(reversed(genomes.items()))
    assert list(compile_candidates.fn(session, backwards)) == list(compiled)


def test_a_fork_begins_with_the_other_runs_population(session):
    *_, founders = made_by_hand(session, 0)
    fork = Session(RunPaths(session.paths.root, "fork"), session.params)
    prepare(fork.params.data, fork.paths.tokens)
    offspring, _, _, first = made_by_hand(fork, 0, source="main")
    assert {child.id for child in offspring} == {individual.id for individual in founders.population}
    assert first.is_fork
    assert first.parent.digest == founders.digest


def test_only_measured_candidates_are_promoted(session):
    offspring, architectures, evaluations, _ = made_by_hand(session, 0)
    params = session.params.model_copy(
        update={
            "evolution": params_from(
                {"evolution": {"population": 4, "halving": {"rungs": [0.5], "keep": 0.5}}}, ""
            ).evolution
        }
    )
    halving = Session(session.paths, params)
    measured = {child.id: evaluations[child.id] for child in offspring[:2]}
    chosen = promote.fn(halving, offspring, architectures, measured)
    assert len(chosen) == 1
    assert chosen < set(measured)


def test_prefect_records_of_a_session_which_run_it_works_on_and_nothing_else(session):
    from fastapi.encoders import jsonable_encoder

    assert jsonable_encoder(session) == {**asdict(session.paths), "changes": []}


def test_a_session_that_goes_to_a_worker_begins_anew_there(session):
    _ = session.trainer, session.data
    there = pickle.loads(pickle.dumps(session))
    assert (there.paths, there.params) == (session.paths, session.params)
    assert not {"trainer", "data"} & set(vars(there))


def test_a_session_of_another_size_shares_paths_budget_clock_and_display(session):
    larger = session.at_size(32, 5)
    assert (larger.params.model.width, larger.params.space.depth) == (32, 5)
    assert larger.params.training == session.params.training
    assert (larger.paths, larger.budget, larger.clock, larger.display) == (
        session.paths,
        session.budget,
        session.clock,
        session.display,
    )
    assert session.at_size(None, None).params == session.params


def test_budget_and_clock_are_those_that_were_handed_in(session):
    timed = Session(session.paths, budget=Budget(seconds=5), clock=lambda: 7.0)
    assert timed.account.spent(timed.job("g", "0" * 64)) is None, "one candidate is always begun"
    timed.account.begin(timed.job("g", "0" * 64))
    assert timed.account.spent(timed.job("h", "1" * 64)) == "seconds"


def test_a_corpus_that_other_parameters_made_is_refused(session):
    other = session.params.model_copy(
        update={"data": session.params.data.model_copy(update={"validation_fraction": 0.3})}
    )
    with pytest.raises(DataError, match="made by other data parameters"):
        _ = Session(session.paths, other).data


def test_a_front_without_members_cannot_be_retrained(session):
    *_, founders = made_by_hand(session, 0)
    assert (
        best_of(founders, 1)[0].id
        == min(founders.front, key=lambda individual: individual.objectives["perplexity"]).id
    )
    nobody = founders.model_copy(
        update={"population": tuple(member.model_copy(update={"rank": 1}) for member in founders.population)}
    )
    with pytest.raises(StoreError, match="meets the constraints"):
        best_of(nobody, 1)


def test_a_silent_display_prints_nothing_and_a_summary_is_a_line(session, capsys):
    *_, founders = made_by_hand(session, 0)
    display = Display.silent()
    display.begin("founders", 4)
    display.selected(founders)
    assert capsys.readouterr().out == ""
    assert display.history == [summary(founders)]
    assert summary(founders).startswith("generation 0: best perplexity ")
    loud = Display(Console(width=80))
    loud.selected(founders)
    assert summary(founders) in capsys.readouterr().out


def test_what_starts_up_is_named_before_there_is_anything_to_count():
    file = io.StringIO()
    console = Console(width=100, file=file, force_terminal=True, color_system=None)
    display = Display(console)
    display.plan(0, 2)
    display.starting("the Prefect server")
    console.print(display)
    assert "starting: the Prefect server" in file.getvalue()
    assert "0/0" not in file.getvalue()
    display.plan(6, 2)
    display.begin("founders", 4)
    console.print(display)
    assert "0/6 candidates" in file.getvalue()


def test_no_task_keeps_its_result_in_prefect():
    made = uncached_task("step", "step {index}")(lambda index: index)
    assert isinstance(made, task(lambda: None).__class__)
    assert (made.name, made.task_run_name) == ("step", "step {index}")
    assert made.cache_policy is NO_CACHE
    assert made.persist_result is False
    for step in (sample, recombine_and_mutate, adopt, compile_candidates, evaluate, survive, promote):
        assert step.cache_policy is NO_CACHE


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs another disk")
def test_a_fork_takes_its_corpus_where_the_data_is_linked_to_another_disk(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        (tmp_path / "data").symlink_to(elsewhere)
        (tmp_path / "params.yaml").write_text("data: {source: gone.txt}")
        (tmp_path / "text.txt").write_text("In the beginning " * 20)
        data = prepare(Data(source=str(tmp_path / "text.txt")), tmp_path / "data/tokens/main")
        meta = tmp_path / "data/tokens/main/meta.json"
        meta.write_text(meta.read_text().replace(str(tmp_path / "text.txt"), "gone.txt"))
        paths = RunPaths(str(tmp_path), "fork")
        take_corpus(paths, SimpleNamespace(run="main", data_digest=data.digest))
        assert load_tokens(paths.tokens).digest == data.digest
        assert sorted(path.name for path in paths.tokens.parent.iterdir()) == ["fork", "main"]
