"""``star evolve``: from a fresh clone to a report, or on from wherever the run stands."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

from rich.console import Console

from star_core import units
from star_core.analysis.terminal.output import print_parts
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import load_tokens
from star_core.errors import DataError, StarError
from star_core.evolution.base import Problem, algorithm
from star_core.evolution.step import check_same_experiment
from star_core.genome.baselines import PATTERNS, baseline
from star_core.machine import check_device, machine_fingerprint
from star_core.objectives.base import check_runner, objective
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import Generation, next_index, stored_generations
from star_core.population.ledger import own_params_file

from ..run.budget import limited
from ..run.context import working
from ..run.display import display
from ..run.paths import Fork, Where
from ..run.session import Session, session
from ..versions import dvc as versioning
from .stages import describe


def evolve_command(
    where: Where,
    generations: int | None,
    fork: Fork | None = None,
    max_tokens: int | None = None,
    max_seconds: float | None = None,
) -> str:
    """Continues the run up to generation ``generations`` and prints its front.

    Args:
        where: The run.
        generations: Index of the last generation; ``None``: the parameter file's.
        fork: The generation of another run that this one begins with, where it has none of its own.
        max_tokens: In place of ``budget.tokens``.
        max_seconds: In place of ``budget.seconds``.

    Returns:
        Why it ended before that generation, in one line; empty if it did not.
    """
    work, console = session(where), Console()
    work.budget = limited(work.params.budget, max_tokens, max_seconds)
    last, ended = work.params.generations if generations is None else generations, ""
    found = checked_run(where, fork)
    console.print(f"Corpus: {describe(work.data)}", highlight=False, soft_wrap=True)
    console.print(f"Training: {trainer(work)}", highlight=False, soft_wrap=True)
    if is_complete(where, found, last):
        versioning.record(where, found[-1].index)
        newest = found[-1].index
        console.print(
            f"Run {where.run} is complete: its generations go to {newest}, {last} were asked for. "
            f"`star evolve{options(where)} --generations {newest + 2}` goes on with two more.",
            highlight=False,
            soft_wrap=True,
        )
    else:
        if display.console.is_terminal:
            console.print(f"Run {where.run}: starting the Prefect server and the candidate processes …")
        with working(where):
            from ..evolve import evolve, remaining_candidates

            if found:
                display.known(found[-1])
            display.plan(remaining_candidates(where, last, fork), work.workers)
            reported = evolve(where, last, fork)
        for line in display.history if display.console.is_terminal else ():
            console.print(line, highlight=False)
        if work.account.ended:
            left = remaining_candidates(where, last, fork) - display.tally.done
            ended = told(where, left, generations, fork, max_seconds)
        if not reported:
            console.print(ended, highlight=False, soft_wrap=True)
            return ended
    show(where)
    if ended:
        console.print(ended, highlight=False, soft_wrap=True)
    return ended


def trainer(work: Session) -> str:
    """On what candidates are trained: a run that went on elsewhere can be told by it."""
    machine = machine_fingerprint(work.params.training.accelerator)
    kind = f"{machine['device']} ({machine['instruction_set']}), torch {machine['torch']}"
    if work.params.runtime.runner != "local":
        return f"{work.params.runtime.runner} cluster of machines like this one: {kind}"
    return f"{kind}, {units.plural(work.workers, 'candidate')} at once"


def told(
    where: Where, left: int, generations: int | None, fork: Fork | None, max_seconds: float | None
) -> str:
    """How the budget ended the call: what was spent, what is left, and the command that goes on."""
    work, account = session(where), session(where).account
    begun = fork is None or stored_generations(where.run, where.data)
    command = f"star evolve{options(where)}"
    if fork is not None and not begun:
        command = f"star resume {fork.run} --from {fork.index} --as {where.run}"
    command += f" --generations {generations}" if generations is not None else ""
    when, trained = "", f"{units.plural(account.tokens, 'token')} trained in the run"
    if account.ended and account.ended.limit == "tokens":
        needed = account.tokens + left * work.params.training.tokens
        limit = f"the next candidate does not fit the budget of {work.budget.tokens:,} tokens"
        if begun:
            command += f" --max-tokens {needed}"
        else:
            when = f" once budget.tokens is {needed} in {where.params}"
    else:
        limit = f"the budget of {work.budget.seconds:g} s is spent after {account.seconds:.0f} s"
        command += f" --max-seconds {max_seconds:g}" if begun and max_seconds is not None else ""
    return f"Stopped: {limit}; {trained}, {units.plural(left, 'candidate')} left. `{command}` goes on{when}."


def checked_run(where: Where, fork: Fork | None = None) -> list[Generation]:
    """The stored generations of a run, once parameters, generations and corpus are found to fit together."""
    work = session(where)
    check_experiment(where)
    found = stored_generations(where.run, where.data)
    for generation in found:
        check_same_experiment(generation, work.params, None, where.params)
    if found or fork is None or not _is_prepared(where):
        prepare_corpus(where, found[0].data_digest if found else None)
    return found


def _is_prepared(where: Where) -> bool:
    if not where.tokens.exists():
        return False
    return load_tokens(where.tokens).meta.get("data") == session(where).params.data.model_dump(mode="json")


def check_experiment(where: Where) -> None:
    """Finds what is wrong with the parameters before anything is started.

    Raises:
        StarError: An unknown algorithm, objective or seed; sizes that cannot be built; a storage that
            does not exist; a parameter file that DVC cannot keep.
    """
    work = session(where)
    params = work.params
    versioning.check(where)
    try:
        algorithm(params.evolution.algorithm)
        for name in (*params.objectives.selected, *params.objectives.constraints):
            objective(name)
        check_runner(params.objectives, params.runtime.runner)
        problem = Problem(params, vocab_size=256)
        _ = problem.seeds
        for name in PATTERNS:
            problem.compile(baseline(name, problem.space.depth))
        work.store.get("0" * 64)
        if params.runtime.address is None:  # workers of a cluster look at their own
            check_device(params.training.accelerator)
    except StarError as error:
        raise error.at(where.params) from None


def prepare_corpus(where: Where, expected: str | None) -> None:
    """Prepares the corpus, or keeps the one that the stored generations were made from.

    Raises:
        DataError: The source has changed since the generations were made; what they were made from
            stays where it is.
    """
    params = session(where).params
    if expected is None:
        prepare(params.data, where.tokens)
        return
    if where.tokens.exists() and load_tokens(where.tokens).digest == expected:
        return
    with tempfile.TemporaryDirectory() as folder:
        made = prepare(params.data, Path(folder, "tokens")).digest
    if made != expected:
        raise DataError(
            f"the text is not the one that run {where.run!r} was made from ({expected[:12]}…)",
            value=made[:12],
            place=f"data.source, {params.data.source}",
            fix=f"restore the text, or data/tokens/{where.run} (dvc checkout), or start another run "
            "with another name",
        )
    prepare(params.data, where.tokens)


def is_complete(where: Where, found: list[Generation], last: int) -> bool:
    """Whether nothing is left to do: generations, baselines of this experiment, and their report."""
    if next_index(found) <= last or not found:
        return False
    page, newest = where.reports / "report.html", where.generation(found[-1].index)
    path = comparison_path(where.run, "baselines", where.data)
    if not path.exists() or not page.exists() or page.stat().st_mtime < newest.stat().st_mtime:
        return False
    return read_comparison(path, where.run, "baselines").parameters == session(where).params.identity()


def options(where: Where) -> str:
    """What names this run on the command line."""
    run = "" if where.run == "main" else f" {where.run}"
    if where.params != own_params_file(where.path(), where.run):
        run += f" --params {shlex.quote(where.params)}"
    return run + "".join(f" --set {shlex.quote(change)}" for change in where.changes)


def show(where: Where) -> None:
    """The front of the last generation beside the baselines, and where the report is."""
    from star_core.analysis.terminal.front_table import front_table
    from star_core.analysis.terminal.table import whole

    generation = stored_generations(where.run, where.data)[-1]
    baselines = read_comparison(comparison_path(where.run, "baselines", where.data), where.run, "baselines")
    print_parts([front_table(generation, baselines), whole(f"Report: {where.reports / 'report.html'}")])
