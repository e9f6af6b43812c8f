"""A generation's candidates trained rung by rung: the better part of each rung goes on from its weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from star_core.architecture import Architecture
from star_core.evaluation import Evaluation, Job
from star_core.evolution.halving import promoted, rung_steps
from star_core.evolution.step import assess
from star_core.population.individual import Offspring

from .candidates.batch import train_all
from .probes import Probed, joined
from .run.session import Session
from .run.uncached_task import uncached_task


@uncached_task("promote")
def promote(
    session: Session,
    offspring: Sequence[Offspring],
    architectures: Mapping[str, Architecture],
    evaluations: Mapping[str, Evaluation],
) -> frozenset[str]:
    """Names of the candidates that go on from a rung, among those that have an evaluation of it."""
    problem, digest = session.problem, session.data.digest
    assessed = [
        assess(problem, child, architectures[child.id], evaluations[child.id], digest)
        for child in offspring
        if child.id in evaluations
    ]
    return frozenset(individual.id for individual in promoted(problem, assessed))


def train_in_rungs(
    session: Session,
    offspring: Sequence[Offspring],
    architectures: Mapping[str, Architecture],
    jobs: Mapping[str, Job],
    probed: Probed,
) -> tuple[dict[str, Evaluation], dict[str, int]]:
    """Trains the candidates of a generation.

    Args:
        session: The command's session.
        offspring: The candidates.
        architectures: Name → what its genome compiles to.
        jobs: Name → the whole training.
        probed: What else was measured of them, which those that go on are chosen by too.

    Returns:
        Name → its last evaluation, and name → step, for those that were stopped at a rung.
    """
    found: dict[str, Evaluation] = {}
    stopped: dict[str, int] = {}
    standing, states, go_on = jobs, str(session.paths.states), False
    for stop in rung_steps(session.params):
        standing = {name: session.at_rung(job, stop, states, go_on) for name, job in standing.items()}
        measured = train_all(session, standing)
        found |= measured
        chosen = promote(session, offspring, architectures, joined(measured, probed))
        stopped |= {name: stop for name in standing if name not in chosen}
        standing = {name: job for name, job in standing.items() if name in chosen}
        go_on = True
    last = {name: session.at_rung(job, None, states, go_on) for name, job in standing.items()}
    return found | train_all(session, last), stopped


def forget_states(session: Session) -> None:
    """Removes what a finished generation's trainings left."""
    shutil.rmtree(session.paths.states, ignore_errors=True)
