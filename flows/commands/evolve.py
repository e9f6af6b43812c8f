"""``star evolve``: from a fresh clone to a report, or on from wherever the run stands."""

from __future__ import annotations

import shlex
from collections import Counter

from star_core import units
from star_core.analysis.terminal.output import print_parts, say
from star_core.machine import machine_fingerprint
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import Generation, next_index, stored_generations
from star_core.population.ledger import own_params_file

from ..run.budget import Clock, limited
from ..run.context import at_work
from ..run.display import Display
from ..run.paths import Fork, RunPaths
from ..run.session import Session
from ..run.stored_baselines import baselines_of, has_baselines, is_empty
from ..versions import dvc
from ..versions.ledger import read_ledger
from .preparation import checked_run
from .stages import describe


def evolve_command(
    paths: RunPaths,
    generations: int | None,
    fork: Fork | None = None,
    max_tokens: int | None = None,
    max_seconds: float | None = None,
    clock: Clock | None = None,
) -> str:
    """Continues the run up to generation ``generations`` and prints its front.

    Args:
        paths: The run.
        generations: Index of the last generation; ``None``: the parameter file's.
        fork: The generation of another run that this one begins with, where it has none of its own.
        max_tokens: In place of ``budget.tokens``.
        max_seconds: In place of ``budget.seconds``.
        clock: Seconds since the command began; ``None``: since now.

    Returns:
        Why it ended before that generation, in one line; empty if it did not.
    """
    params, display = paths.read_params(), Display()
    budget = limited(params.budget, max_tokens, max_seconds)
    session = Session(paths, params, display, budget, clock)
    last, ended = params.generations if generations is None else generations, ""
    found = checked_run(session, fork)
    say(f"Corpus: {describe(session.data)}")
    say(f"Training: {trainer(session)}")
    if not dvc.is_versioned(paths):
        say("Versions: none are kept, for there is no DVC repository with a dvc.yaml here (star doctor).")
    known = read_ledger(paths).runs.get(paths.run)
    behind = known is not None and max(last, next_index(found) - 1) < known.last
    if known is not None and behind and dvc.is_versioned(paths):
        say(
            f"Generations: up to {last} in this call. The ledger rules what `dvc repro` makes, and has them "
            f"up to {known.last}; `star evolve{options(paths)} --generations {known.last}` makes the same."
        )
    if is_complete(session, found, last):
        dvc.record(session, found[-1].index)
        newest = found[-1].index
        say(
            f"Run {paths.run} is complete: its generations go to {newest}, {last} were asked for. "
            f"`star evolve{options(paths)} --generations {newest + 2}` goes on with two more."
        )
    else:
        with at_work(session):
            from ..evolve import evolve, remaining_candidates

            if found:
                display.known(found[-1])
            display.plan(remaining_candidates(session, last, fork), session.workers)
            reported = evolve(session, last, fork)
        for line in display.history if display.console.is_terminal else ():
            say(line)
        if session.account.ended:
            left = remaining_candidates(session, last, fork) - display.tally.done
            ended = stopped(session, left, generations, fork, max_seconds)
        if reported is None:
            say(ended)
            return ended
    show(paths)
    if ended:
        say(ended)
    return ended


def trainer(session: Session) -> str:
    """On what candidates are trained: a run that went on elsewhere can be told by it."""
    machine = machine_fingerprint(session.params.training.accelerator)
    processor = " ".join(machine[name] for name in ("vendor", "instruction_set") if name in machine)
    kind = f"{machine['device']} ({processor}), torch {machine['torch']}"
    if session.params.runtime.runner != "local":
        return f"{session.params.runtime.runner} cluster of machines like this one: {kind}"
    return f"{kind}, {units.plural(session.workers, 'candidate')} at once"


def stopped(
    session: Session, left: int, generations: int | None, fork: Fork | None, max_seconds: float | None
) -> str:
    """How the budget ended the call: what was spent, what is left, and the command that goes on."""
    paths, account = session.paths, session.account
    begun = fork is None or stored_generations(paths.run, paths.data)
    command = f"star evolve{options(paths)}"
    if fork is not None and not begun:
        command = f"star resume {fork.run} --from {fork.index} --as {paths.run}"
    command += f" --generations {generations}" if generations is not None else ""
    when, trained = "", f"{units.plural(account.tokens, 'token')} trained in the run"
    if account.ended and account.ended.limit == "tokens":
        needed = account.tokens + left * session.params.training.tokens
        limit = f"the next candidate does not fit the budget of {session.budget.tokens:,} tokens"
        if begun:
            command += f" --max-tokens {needed}"
        else:
            when = f" once budget.tokens is {needed} in {paths.params_file}"
    else:
        limit = f"the budget of {session.budget.seconds:g} s is spent after {account.seconds:.0f} s"
        command += f" --max-seconds {max_seconds:g}" if begun and max_seconds is not None else ""
    return f"Stopped: {limit}; {trained}, {units.plural(left, 'candidate')} left. `{command}` goes on{when}."


def is_complete(session: Session, found: list[Generation], last: int) -> bool:
    """Whether nothing is left to do: generations, baselines of this experiment, and their report."""
    if next_index(found) <= last or not found:
        return False
    paths = session.paths
    baselines = baselines_of(session)
    if baselines is None or is_empty(baselines) or not has_baselines(session):
        return False
    page, newest = paths.reports / "report.html", paths.generation(found[-1].index)
    return page.exists() and page.stat().st_mtime >= newest.stat().st_mtime


def options(paths: RunPaths) -> str:
    """What names this run on the command line."""
    run = "" if paths.run == "main" else f" {paths.run}"
    if paths.params_file != own_params_file(paths.path(), paths.run):
        run += f" --params {shlex.quote(paths.params_file)}"
    return run + "".join(f" --set {shlex.quote(change)}" for change in paths.changes)


def show(paths: RunPaths) -> None:
    """The front of the last generation beside the baselines, and where the report is."""
    from star_core.analysis.terminal.front_table import front_table
    from star_core.analysis.terminal.table import whole

    generation = stored_generations(paths.run, paths.data)[-1]
    baselines = read_comparison(comparison_path(paths.run, "baselines", paths.data), paths.run, "baselines")
    print_parts([front_table(generation, baselines), whole(f"Report: {paths.reports / 'report.html'}")])
    if is_empty(baselines):
        failed = Counter(entry.status.replace("_", " ") for entry in baselines.entries)
        say(
            "No baseline could be trained ("
            + ", ".join(f"{count} {status}" for status, count in failed.items())
            + "), so the run is compared with nothing. Where a limit of runtime is the cause, raise it: "
            f"`star evolve{options(paths)}` tries them again."
        )
