"""``star evolve``: from a fresh clone to a report, or on from wherever the run stands."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from flows import versioning
from flows.command_stages import describe
from flows.display import display
from flows.session import Where, session
from flows.working import working
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import load_tokens
from star_core.errors import DataError, StarError
from star_core.evaluation import check_device
from star_core.evolution.base import Problem, algorithm
from star_core.evolution.step import check_same_experiment
from star_core.genome.baselines import PATTERNS, baseline
from star_core.objectives.base import objective
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import Generation, stored_generations


def evolve_command(where: Where, generations: int | None) -> None:
    """Continues the run up to generation ``generations`` and prints its front."""
    work, console = session(where), Console()
    last = work.params.generations if generations is None else generations
    check_experiment(where)
    found = stored_generations(where.run, where.data)
    for one in found:
        check_same_experiment(one, work.params, None, where.params)
    prepare_corpus(where, found[0].data_digest if found else None)
    console.print(f"Corpus: {describe(work.data)}", highlight=False, soft_wrap=True)
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
            from flows.evolve import evolve, remaining_candidates

            if found:
                display.known(found[-1])
            display.plan(remaining_candidates(where, last), work.workers)
            evolve(where, last)
        for line in display.history if display.console.is_terminal else ():
            console.print(line, highlight=False)
    show(where, console)


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
        problem = Problem(params, vocab_size=256)
        _ = problem.seeds
        for name in PATTERNS:
            problem.compile(baseline(name, problem.space.depth))
        work.store.get("0" * 64)
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
            "with --run NAME",
        )
    prepare(params.data, where.tokens)


def is_complete(where: Where, found: list[Generation], last: int) -> bool:
    """Whether nothing is left to do: generations, baselines of this experiment, and their report."""
    if len(found) <= last:
        return False
    page, newest = where.reports / "report.html", where.generation(found[-1].index)
    path = comparison_path(where.run, "baselines", where.data)
    if not path.exists() or not page.exists() or page.stat().st_mtime < newest.stat().st_mtime:
        return False
    return read_comparison(path, where.run, "baselines").parameters == session(where).params.identity()


def options(where: Where) -> str:
    """The options that name this run on the command line."""
    run = "" if where.run == "main" else f" --run {where.run}"
    return run + ("" if where.params == "params.yaml" else f" --params {where.params}")


def show(where: Where, console: Console) -> None:
    """The front of the last generation beside the baselines, and where the report is."""
    from star_core.analysis.tables import front_table

    generation = stored_generations(where.run, where.data)[-1]
    baselines = read_comparison(comparison_path(where.run, "baselines", where.data), where.run, "baselines")
    console.print(front_table(generation, baselines, console.width))
    console.print(f"Report: {where.reports / 'report.html'}", highlight=False, soft_wrap=True)
