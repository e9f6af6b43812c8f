"""The search as a flow: corpus, baselines, founders, generation after generation, report."""

from __future__ import annotations

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import versioning
from flows.comparison import stored_comparison, train_baselines
from flows.generation import make_generation
from flows.session import Where, session
from star_core.analysis.report import write_report
from star_core.evolution.step import check_same_experiment
from star_core.genome.baselines import PATTERNS
from star_core.population.generation import Generation, stored_generations


@task(name="version", cache_policy=NO_CACHE, persist_result=False)
def version(where: Where, last: int) -> None:
    """Enters what is stored in the ledger and commits it to DVC, where the project is under DVC."""
    if versioning.is_versioned(where):
        versioning.enter(where, last)
        versioning.commit(where, versioning.uncommitted(where, last))


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(where: Where) -> str:
    """Writes the run's report; returns its path."""
    out = where.data / "reports" / where.run
    return str(write_report(where.run, where.data, out, session(where).store))


@flow(name="evolve", flow_run_name="evolve {where.run}", persist_result=False)
def evolve(where: Where, generations: int) -> str:
    """Continues a run up to generation ``generations``; what is stored is not made again.

    Returns:
        Path of the report.
    """
    if not has_baselines(where):
        train_baselines(where)
    first = len(stored(where))
    for index in range(first, generations + 1):
        make_generation(where, index)
        version(where, index)
    version(where, max(generations, first - 1))
    return report(where)


def stored(where: Where) -> list[Generation]:
    """The stored generations, checked to belong to this experiment.

    Raises:
        StarError: A file is unusable, or was made with other parameters or another corpus.
    """
    found = stored_generations(where.run, where.data)
    work = session(where)
    for one in found:
        check_same_experiment(one, work.params, work.data.digest, str(where.params))
    return found


def has_baselines(where: Where) -> bool:
    """Whether the baselines of this very experiment are stored."""
    work, found = session(where), stored_comparison(where, "baselines")
    return found is not None and (found.parameters, found.data_digest) == (
        work.params.identity(),
        work.data.digest,
    )


def remaining_candidates(where: Where, generations: int) -> int:
    """Candidates still to come until generation ``generations``, baselines included."""
    section, done = session(where).params.evolution, len(stored(where))
    count = 0 if has_baselines(where) else len(PATTERNS)
    count += section.population if done == 0 else 0
    return count + section.num_offspring * max(0, generations + 1 - max(done, 1))


def discard_unfinished(where: Where) -> None:
    """Removes temporary files that a killed process left among the generations."""
    for folder in ("populations", "baselines", "retrain"):
        for left in where.path("data", folder, where.run).glob(".*.tmp"):
            left.unlink(missing_ok=True)
