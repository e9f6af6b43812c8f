"""The search as a flow: baselines, founders, generation after generation, report."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prefect import flow

from star_core.analysis.report.report import write_report
from star_core.genome.baselines import PATTERNS
from star_core.population.generation import next_index, stored_generations

from .baselines import train_baselines
from .generation import make_generation
from .run.budget import BudgetSpent
from .run.paths import Fork
from .run.session import Session
from .run.stale_runs import end_stale_runs
from .run.stored_baselines import baselines_of, has_baselines
from .run.uncached_task import uncached_task
from .versions import dvc


@uncached_task("version")
def version(session: Session, last: int) -> None:
    """Enters what is stored in the ledger and commits it to DVC, where the project is under DVC."""
    dvc.record(session, last)


@uncached_task("report")
def report(session: Session) -> Path:
    """Writes the run's report; returns its path."""
    return write_report(session.run, session.paths.data, session.paths.reports, session.store)


@flow(name="evolve", flow_run_name="evolve {session.run}", persist_result=False)
def evolve(session: Session, generations: int, fork: Fork | None = None) -> Path | None:
    """Continues a run up to generation ``generations``; what is stored is not made again.

    A spent budget is a normal end: the run's account remembers it, and what is stored is reported.

    Args:
        session: The command's session.
        generations: Index of the last generation.
        fork: Where the run begins, if it is not yet begun and has no founders of its own.

    Returns:
        Path of the report; ``None`` as long as there is nothing to report.
    """
    run, data = session.run, session.paths.data
    end_stale_runs(session)
    with suppress(BudgetSpent):
        if not has_baselines(session):
            train_baselines(session)
        stored = stored_generations(run, data)
        if fork is not None and not stored:
            make_generation(session, fork.index, fork.run)
            version(session, fork.index)
        first = next_index(stored) if stored or fork is None else fork.index + 1
        for index in range(first, generations + 1):
            make_generation(session, index)
            version(session, index)
    stored = stored_generations(run, data)
    if not stored or baselines_of(session) is None:
        return None
    version(session, stored[-1].index)
    return report(session)


def remaining_candidates(session: Session, generations: int, fork: Fork | None = None) -> int:
    """Candidates still to come until generation ``generations``, baselines included."""
    section = session.params.evolution
    done = next_index(stored_generations(session.run, session.paths.data))
    count = 0 if has_baselines(session) else len(PATTERNS)
    if done == 0:
        count += section.population
        done = fork.index + 1 if fork else 1
    return count + section.num_offspring * max(0, generations + 1 - done)
