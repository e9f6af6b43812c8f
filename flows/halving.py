"""A generation's candidates trained rung by rung: the better part of each rung goes on from its weights."""

from __future__ import annotations

import shutil

from prefect import task
from prefect.cache_policies import NO_CACHE

from star_core.evaluation import Evaluation, Job, decode_evaluation, encode_evaluation
from star_core.evolution.halving import promoted, rung_steps
from star_core.evolution.step import assess
from star_core.population.individual import Offspring

from .candidates.batch import train_all
from .probes import Probed, joined
from .run.paths import Where
from .run.session import session


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE, persist_result=False)
def promote(where: Where, offspring: list[str], evaluations: dict[str, str]) -> list[str]:
    """Names of the candidates that go on from a rung."""
    work = session(where)
    assessed = [
        assess(work.problem, child, decode_evaluation(evaluations[child.id]), work.data.digest)
        for child in map(Offspring.model_validate_json, offspring)
        if child.id in evaluations
    ]
    return [individual.id for individual in promoted(work.problem, assessed)]


def train_in_rungs(
    where: Where, offspring: list[str], jobs: dict[str, Job], probed: Probed
) -> tuple[dict[str, Evaluation], dict[str, int]]:
    """Trains the candidates of a generation.

    Args:
        where: The run.
        offspring: The offspring, as JSON text.
        jobs: Name → job of the whole training.
        probed: What probes measured of the candidates; it counts for who goes on, too.

    Returns:
        Name → its last evaluation, and name → step, for those that were stopped at a rung.
    """
    found: dict[str, Evaluation] = {}
    stopped: dict[str, int] = {}
    work, states = session(where), states_folder(where)
    standing, go_on = jobs, False
    for stop in rung_steps(work.params):
        standing = {name: work.at_rung(job, stop, states, go_on) for name, job in standing.items()}
        measured = train_all(where, standing)
        found |= measured
        texts = {name: encode_evaluation(evaluation) for name, evaluation in joined(measured, probed).items()}
        chosen = set(promote(where, offspring, texts))
        stopped |= {name: stop for name in standing if name not in chosen}
        standing = {name: job for name, job in standing.items() if name in chosen}
        go_on = True
    last = {name: work.at_rung(job, None, states, go_on) for name, job in standing.items()}
    return found | train_all(where, last), stopped


def states_folder(where: Where) -> str:
    """Where trainings that may go on leave their state, until their generation is made."""
    return str(where.path(".star", "states", where.run))


def forget_states(where: Where) -> None:
    """Removes what a finished generation's trainings left."""
    shutil.rmtree(states_folder(where), ignore_errors=True)
