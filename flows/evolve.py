"""The search as a flow: baselines, founders, generation after generation, report."""

from __future__ import annotations

from contextlib import suppress

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from star_core.analysis.report.report import write_report
from star_core.genome.baselines import PATTERNS
from star_core.population.generation import next_index, stored_generations

from .comparison import stored_comparison, train_baselines
from .generation import make_generation
from .run.budget import BudgetSpent
from .run.paths import Fork, Where
from .run.session import session
from .run.stale_runs import end_abandoned
from .versions import dvc as versioning


@task(name="version", task_run_name="version", cache_policy=NO_CACHE, persist_result=False)
def version(where: Where, last: int) -> None:
    """Enters what is stored in the ledger and commits it to DVC, where the project is under DVC."""
    versioning.record(where, last)


@task(name="report", task_run_name="report", cache_policy=NO_CACHE, persist_result=False)
def report(where: Where) -> str:
    """Writes the run's report; returns its path."""
    return str(write_report(where.run, where.data, where.reports, session(where).store))


@flow(name="evolve", flow_run_name="evolve {where.run}", persist_result=False)
def evolve(where: Where, generations: int, fork: Fork | None = None) -> str:
    """Continues a run up to generation ``generations``; what is stored is not made again.

    A spent budget is a normal end: the run's account remembers it, and what is stored is reported.

    Args:
        where: The run.
        generations: Index of the last generation.
        fork: Where the run begins, if it is not yet begun and has no founders of its own.

    Returns:
        Path of the report; empty as long as there is nothing to report.
    """
    end_abandoned(where)
    with suppress(BudgetSpent):
        if not has_baselines(where):
            train_baselines(where)
        stored = stored_generations(where.run, where.data)
        if fork is not None and not stored:
            make_generation(where, fork.index, fork.run)
            version(where, fork.index)
        first = next_index(stored) if stored or fork is None else fork.index + 1
        for index in range(first, generations + 1):
            make_generation(where, index)
            version(where, index)
    stored = stored_generations(where.run, where.data)
    if not stored or not has_baselines(where):
        return ""
    version(where, stored[-1].index)
    return report(where)


def has_baselines(where: Where) -> bool:
    """Whether the baselines of this very experiment are stored."""
    work, found = session(where), stored_comparison(where, "baselines")
    return found is not None and (found.parameters, found.data_digest) == (
        work.params.identity(),
        work.data.digest,
    )


def remaining_candidates(where: Where, generations: int, fork: Fork | None = None) -> int:
    """Candidates still to come until generation ``generations``, baselines included."""
    section, done = session(where).params.evolution, next_index(stored_generations(where.run, where.data))
    count = 0 if has_baselines(where) else len(PATTERNS)
    if done == 0:
        count += section.population
        done = fork.index + 1 if fork else 1
    return count + section.num_offspring * max(0, generations + 1 - done)
