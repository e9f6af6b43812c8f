"""The steps of a generation as Prefect tasks. Bodies call ``star_core``; only text travels."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from star_core.evaluation import decode_evaluation
from star_core.evolution.screening import can_screen, is_screening
from star_core.evolution.step import adopted, assess, offspring_of, select
from star_core.genome.backbone import Genome
from star_core.population.generation import generation_path, read_generation
from star_core.population.individual import Individual, Offspring

from .run.artifacts import publish_generation
from .run.display import display
from .run.paths import Where
from .run.session import session


def _vary(where: Where, index: int) -> list[str]:
    parent = read_generation(where.generation(index - 1), where.run, index - 1) if index else None
    problem = session(where).problem
    if parent is not None and is_screening(problem) and not can_screen(problem, parent):
        least, known = problem.params.evolution.screening.minimum, len(parent.archive or ())
        display.note(f"no screening yet: the predictor learns from {least} candidates, {known} are trained")
    return [child.model_dump_json() for child in offspring_of(problem, parent)]


@task(name="sample", task_run_name="sample", cache_policy=NO_CACHE, persist_result=False)
def sample(where: Where) -> list[str]:
    """The founders, as JSON text."""
    return _vary(where, 0)


@task(
    name="recombine and mutate",
    task_run_name="recombine and mutate",
    cache_policy=NO_CACHE,
    persist_result=False,
)
def recombine_and_mutate(where: Where, index: int) -> list[str]:
    """The offspring of the stored generation ``index - 1``, as JSON text."""
    return _vary(where, index)


@task(name="adopt", task_run_name="adopt", cache_policy=NO_CACHE, persist_result=False)
def adopt(where: Where, index: int, source: str) -> list[str]:
    """The population of generation ``index`` of the run ``source``, as offspring in JSON text."""
    parent = read_generation(generation_path(source, index, where.data), source, index)
    return [child.model_dump_json() for child in adopted(session(where).problem, parent)]


@task(name="compile", task_run_name="compile", cache_policy=NO_CACHE, persist_result=False)
def compile_candidates(where: Where, genomes: dict[str, str]) -> dict[str, str]:
    """Name → genome to name → digest, the most expensive first, so that workers end together."""
    problem, training = session(where).problem, session(where).params.training
    specs = {name: problem.compile(Genome.parse(text)) for name, text in genomes.items()}
    cost = {name: spec.flops_per_token(training.sequence_length) for name, spec in specs.items()}
    return {name: specs[name].digest for name in sorted(cost, key=lambda name: (-cost[name], name))}


@task(name="evaluate", task_run_name="evaluate", cache_policy=NO_CACHE, persist_result=False)
def evaluate(
    where: Where, offspring: list[str], evaluations: dict[str, str], stopped: dict[str, int]
) -> list[str]:
    """Offspring with the objectives of their trainings (some ``stopped`` at a rung): individuals, as JSON."""
    problem, digest = session(where).problem, session(where).data.digest
    return [
        assess(
            problem, child, decode_evaluation(evaluations[child.id]), digest, stopped.get(child.id)
        ).model_dump_json()
        for child in map(Offspring.model_validate_json, offspring)
    ]


@task(name="select", task_run_name="select", cache_policy=NO_CACHE, persist_result=False)
def survive(where: Where, index: int, individuals: list[str], source: str | None = None) -> str:
    """Selects the survivors and stores the generation; returns the file's path."""
    work, parent = session(where), None
    if source is not None:
        parent = read_generation(generation_path(source, index, where.data), source, index)
    elif index:
        parent = read_generation(where.generation(index - 1), where.run, index - 1)
    assessed = [Individual.model_validate_json(text) for text in individuals]
    generation = select(work.problem, where.run, parent, assessed, work.data.digest)
    generation.write(where.generation(index))
    display.selected(generation)
    return str(where.generation(index))


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish(where: Where, index: int) -> None:
    """The population, its front and a picture of it as artifacts in the Prefect UI."""
    publish_generation(where, read_generation(where.generation(index), where.run, index))
