"""Commands behind the DVC stages: each makes one thing of a run, and never calls DVC."""

from __future__ import annotations

import threading

from rich.console import Console

from flows.display import display
from flows.session import Where, exclusive, session
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import TokenData
from star_core.errors import StoreError
from star_core.evolution.step import check_same_experiment
from star_core.population.generation import read_generation, stored_generations


def prepare_command(where: Where) -> None:
    """Prepares the corpus."""
    data = prepare(session(where).params.data, where.tokens)
    Console().print(f"{where.tokens}: {describe(data)}", highlight=False, soft_wrap=True)


def baselines_command(where: Where) -> None:
    """Trains the baselines."""
    with exclusive(where):
        warm_up(where)
        from flows.comparison import train_baselines

        with display.live():
            path = train_baselines(where)
        session(where).close()
    Console().print(path, soft_wrap=True)


def generation_command(where: Where, index: int) -> None:
    """Makes generation ``index``; whether it can be made is found out before anything is started."""
    work = session(where)
    if index:
        parent = read_generation(where.generation(index - 1), where.run, index - 1)
        check_same_experiment(parent, work.params, work.data.digest, where.params)
    with exclusive(where):
        warm_up(where)
        from flows.generation import make_generation

        with display.live():
            path = make_generation(where, index)
        session(where).close()
    Console().print(path, soft_wrap=True)


def retrain_command(where: Where, top: int | None) -> None:
    """Trains the best of the last stored generation, and the baselines, for longer."""
    generations = stored_generations(where.run, where.data)
    if not generations:
        raise StoreError(
            "the run has no generation yet",
            value=where.run,
            place=str(where.data / "populations"),
            fix=f"star evolve --run {where.run}",
        )
    with exclusive(where):
        warm_up(where)
        from flows.retrain import retrain

        with display.live():
            path = retrain(where, generations[-1], top)
        session(where).close()
    Console().print(path, soft_wrap=True)


def warm_up(where: Where) -> None:
    """Starts the candidate processes' server while Prefect is still being imported."""
    work = session(where)
    display.plan(0, work.workers)
    threading.Thread(target=work.pool.warm_up, daemon=True).start()


def describe(data: TokenData) -> str:
    """A prepared corpus in one line."""
    documents = {name: split["documents"] for name, split in data.meta["splits"].items()}
    return (
        f"{data.name}: {len(data.train):,} tokens of {documents['train']} documents to train on, "
        f"{len(data.validation):,} of {documents['validation']} held out"
    )
