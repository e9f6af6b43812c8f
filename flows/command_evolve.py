"""``star evolve``: from a fresh clone to a report, or on from wherever the run stands."""

from __future__ import annotations

from rich.console import Console

from flows import versioning
from flows.command_stages import describe, warm_up
from flows.display import display
from flows.session import Where, exclusive, session
from star_core.datasets.prepare import prepare
from star_core.evolution.base import algorithm
from star_core.evolution.step import check_same_experiment
from star_core.objectives.base import objective
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import stored_generations


def evolve_command(where: Where, generations: int | None) -> None:
    """Continues the run up to generation ``generations`` and prints its front."""
    work, console = session(where), Console()
    last = work.params.generations if generations is None else generations
    check_experiment(where)
    with exclusive(where):
        found = stored_generations(where.run, where.data)
        prepare_corpus(where, console)
        for one in found:
            check_same_experiment(one, work.params, work.data.digest, where.params)
        if len(found) > last:
            finish_versioning(where, found[-1].index)
            console.print(
                f"Run {where.run} is complete: generation {found[-1].index} of {last} is stored. "
                f"`star evolve --generations {found[-1].index + 2}` goes on with two more.",
                highlight=False,
                soft_wrap=True,
            )
            show(where, console)
            return
        warm_up(where)
        if display.console.is_terminal:
            console.print(f"Run {where.run}: starting the Prefect server and the candidate processes …")
        from flows.evolve import discard_unfinished, evolve, remaining_candidates

        discard_unfinished(where)
        if found:
            display.known(found[-1])
        display.plan(remaining_candidates(where, last), work.workers)
        try:
            with display.live():
                evolve(where, last)
        finally:
            work.close()
        for line in display.history if display.console.is_terminal else ():
            console.print(line, highlight=False)
    show(where, console)


def check_experiment(where: Where) -> None:
    """Finds a misspelt algorithm, objective or seed before anything is started."""
    from star_core.evolution.base import Problem

    params = session(where).params
    algorithm(params.evolution.algorithm)
    for name in (*params.objectives.selected, *params.objectives.constraints):
        objective(name)
    _ = Problem(params, vocab_size=256).seeds
    if versioning.is_versioned(where):
        versioning.check_sections(where)


def prepare_corpus(where: Where, console: Console) -> None:
    """Prepares the corpus, unless the one that ``params.yaml`` describes is there."""
    work = session(where)
    data = prepare(work.params.data, where.tokens)
    console.print(f"Corpus: {describe(data)}", highlight=False, soft_wrap=True)


def finish_versioning(where: Where, last: int) -> None:
    """Commits what a killed process stored but could not commit any more."""
    if versioning.is_versioned(where):
        versioning.enter(where, last)
        versioning.commit(where, versioning.uncommitted(where, last))


def show(where: Where, console: Console) -> None:
    """The front of the last generation beside the baselines, and where the report is."""
    from star_core.analysis.tables import front_table

    generation = stored_generations(where.run, where.data)[-1]
    path = comparison_path(where.run, "baselines", where.data)
    baselines = read_comparison(path, where.run, "baselines") if path.exists() else None
    console.print(front_table(generation, baselines, console.width))
    page = where.data / "reports" / where.run / "report.html"
    if page.exists():
        console.print(f"Report: {page}", highlight=False, soft_wrap=True)
