"""The steps of a generation as Prefect tasks. Bodies call ``star_core``; only text travels."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import ThreadPoolTaskRunner

from flows.display import display
from flows.session import Where, session
from star_core.errors import StoreError
from star_core.evaluation import Evaluation
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome.backbone import Genome
from star_core.objectives.perplexity import bits_per_byte
from star_core.population.generation import read_generation
from star_core.population.individual import Individual, Offspring
from star_core.training.worker import NotStored

P = ParamSpec("P")
R = TypeVar("R")


def _vary(where: Where, index: int) -> list[str]:
    parent = read_generation(where.generation(index - 1), where.run, index - 1) if index else None
    return [one.model_dump_json() for one in offspring_of(session(where).problem, parent)]


@task(name="sample", cache_policy=NO_CACHE, persist_result=False)
def sample(where: Where) -> list[str]:
    """The founders, as JSON text."""
    return _vary(where, 0)


@task(name="recombine and mutate", cache_policy=NO_CACHE, persist_result=False)
def recombine_and_mutate(where: Where, index: int) -> list[str]:
    """The offspring of the stored generation ``index - 1``, as JSON text."""
    return _vary(where, index)


@task(name="compile", cache_policy=NO_CACHE, persist_result=False)
def compile_candidates(where: Where, genomes: dict[str, str]) -> dict[str, str]:
    """Name → genome to name → digest, the most expensive first, so that workers end together."""
    problem, training = session(where).problem, session(where).params.training
    specs = {name: problem.compile(Genome.parse(text)) for name, text in genomes.items()}
    cost = {name: spec.flops_per_token(training.sequence_length) for name, spec in specs.items()}
    return {name: specs[name].digest for name in sorted(cost, key=lambda name: (-cost[name], name))}


@task(name="train", task_run_name="train {name}", cache_policy=NO_CACHE, persist_result=False)
def train(
    where: Where, name: str, genome: str, digest: str, steps: int | None = None, checkpoint: str | None = None
) -> str:
    """Trains a candidate in a process of its own, unless the store has it; returns its key."""
    work = session(where)
    job = work.job(genome, digest, steps, checkpoint)
    evaluation = work.stored(job)
    cached = evaluation is not None
    if evaluation is None:
        try:
            evaluation = work.pool.run(job, on_start=lambda _pid: display.started(name))
        except NotStored as error:
            evaluation = store_patiently(where, name, error)
    display.ended(name, evaluation, cached)
    return job.key


def store_patiently(where: Where, name: str, error: NotStored) -> Evaluation:
    """Stores a finished evaluation as soon as that works again.

    Raises:
        NotStored: It did not within ``runtime.patience_seconds``.
    """
    work = session(where)
    display.note(f"{name} is trained but cannot be stored; waiting. {error}")
    until = time.monotonic() + work.params.runtime.patience_seconds
    while time.monotonic() < until:
        time.sleep(0.5)
        with suppress(StoreError):
            work.store.put(error.evaluation)
            return error.evaluation
    raise error


@task(name="evaluate", task_run_name="evaluate {name}", cache_policy=NO_CACHE, persist_result=False)
def evaluate(where: Where, name: str, offspring: str, key: str) -> str:
    """The individual: an offspring with the objectives of its finished training, as JSON text."""
    work = session(where)
    evaluation = work.store.get(key)
    if evaluation is None:
        raise StoreError("the evaluation just made is gone", value=key, place=work.storage, fix="run again")
    one = assess(work.problem, Offspring.model_validate_json(offspring), evaluation, work.data.digest)
    return one.model_dump_json()


@task(name="select", cache_policy=NO_CACHE, persist_result=False)
def survive(where: Where, index: int, individuals: list[str]) -> str:
    """Selects the survivors and stores the generation; returns the file's path."""
    work = session(where)
    parent = read_generation(where.generation(index - 1), where.run, index - 1) if index else None
    assessed = [Individual.model_validate_json(text) for text in individuals]
    generation = select(work.problem, where.run, parent, assessed, work.data.digest)
    generation.write(where.generation(index))
    display.selected(generation)
    return str(where.generation(index))


@task(name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish(where: Where, index: int) -> None:
    """The population as a table artifact in the Prefect UI."""
    generation = read_generation(where.generation(index), where.run, index)
    rows = []
    for one in generation.population:
        row: dict[str, Any] = {"individual": one.id, "genome": one.genome, "front": one.rank}
        row.update({name: _rounded(value) for name, value in one.objectives.items()})
        perplexity = one.objectives.get("perplexity")
        row["bits per byte"] = _rounded(bits_per_byte(perplexity) if perplexity else None)
        row["status"] = one.status
        rows.append(row)
    create_table_artifact(
        key=f"{where.run.lower().replace('_', '-')}-population",
        table=rows,
        description=f"Run {where.run}, generation {index}: population, best first",
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def with_task_threads(where: Where, flow: Flow[P, R]) -> Flow[P, R]:
    """The flow with as many task threads as candidates are trained at once."""
    runner: Any = ThreadPoolTaskRunner(max_workers=session(where).workers)
    return flow.with_options(task_runner=runner)
