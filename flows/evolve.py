"""The search as a flow: baselines, founders, generation after generation, report."""

from __future__ import annotations

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import versioning
from flows.comparison import stored_comparison, train_baselines
from flows.generation import make_generation
from flows.session import Where, session
from star_core.analysis.report import write_report
from star_core.genome.baselines import PATTERNS
from star_core.population.generation import stored_generations


@task(name="version", cache_policy=NO_CACHE, persist_result=False)
def version(where: Where, last: int) -> None:
    """Enters what is stored in the ledger and commits it to DVC, where the project is under DVC."""
    versioning.record(where, last)


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(where: Where) -> str:
    """Writes the run's report; returns its path."""
    return str(write_report(where.run, where.data, where.reports, session(where).store))


@flow(name="evolve", flow_run_name="evolve {where.run}", persist_result=False)
def evolve(where: Where, generations: int) -> str:
    """Continues a run up to generation ``generations``; what is stored is not made again.

    Returns:
        Path of the report.
    """
    if not has_baselines(where):
        train_baselines(where)
    first = len(stored_generations(where.run, where.data))
    for index in range(first, generations + 1):
        make_generation(where, index)
        version(where, index)
    version(where, max(generations, first - 1))
    return report(where)


def has_baselines(where: Where) -> bool:
    """Whether the baselines of this very experiment are stored."""
    work, found = session(where), stored_comparison(where, "baselines")
    return found is not None and (found.parameters, found.data_digest) == (
        work.params.identity(),
        work.data.digest,
    )


def remaining_candidates(where: Where, generations: int) -> int:
    """Candidates still to come until generation ``generations``, baselines included."""
    section, done = session(where).params.evolution, len(stored_generations(where.run, where.data))
    count = 0 if has_baselines(where) else len(PATTERNS)
    count += section.population if done == 0 else 0
    return count + section.num_offspring * max(0, generations + 1 - max(done, 1))
