"""Entering runs, generations and trainings at other sizes in the ledger, and taking runs out of it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import yaml

from star_core.population.generation import first_index, generation_path, read_generation
from star_core.population.ledger import Entry, Forked, Founders, Ledger, Run, Scaled, ledger_path
from star_core.population.ledger import read_ledger as stored_ledger
from star_core.storage.files import write_atomically

from ..run.locks import lock_file
from ..run.paths import Where
from ..run.session import session

HEADER = "# Stored generations, written by `star evolve`; dvc.yaml makes a stage of each.\n"
NO_SOURCE = "star_core/semantics.py"
"""What the corpus depends on where its source is no single local path: something that is always there."""
_Entry = TypeVar("_Entry")


def read_ledger(where: Where) -> Ledger:
    """The ledger; empty where there is none yet.

    Raises:
        StoreError: It is not what ``star evolve`` writes.
    """
    return stored_ledger(where.data)


def enter(where: Where, index: int) -> None:
    """Enters generation ``index`` of a run, and those before it."""
    with _locked(where) as before:
        known = before.runs.get(where.run)
        last = max(index, known.last if known else 0)
        first = first_index(where.run, where.data)
        founders, forks = dict(before.founders), dict(before.forks)
        opening = read_generation(where.generation(first), where.run, first)
        if opening.is_fork and opening.parent is not None:
            forks[where.run] = Forked(
                source=opening.parent.run,
                index=first,
                parent=generation_path(opening.parent.run, first, Path("data")).as_posix(),
                out=_file(where, first),
                params=where.params,
            )
        else:
            founders[where.run] = Founders(params=where.params)
        run = Run(params=where.params, last=last, newest=_file(where, last), source=_source(where))
        made = {
            f"{where.run}-{number:03d}": Entry(
                run=where.run,
                index=number,
                parent=_file(where, number - 1),
                out=_file(where, number),
                params=where.params,
            )
            for number in range(first + 1, last + 1)
        }
        scaled = {
            name: retraining.model_copy(update={"newest": run.newest})
            if retraining.run == where.run
            else retraining
            for name, retraining in before.scaled.items()
        }
        after = Ledger(
            runs={**before.runs, where.run: run},
            founders=founders,
            forks=forks,
            generations={**before.generations, **made},
            scaled=scaled,
        )
        _write(where, before, after)


def enter_scaled(where: Where, width: int, depth: int, by: str, out: str, weights: str) -> str:
    """Enters a training at another size; returns its name, by which DVC knows its stage."""
    name = f"{where.run}-width-{width}-depth-{depth}"
    with _locked(where) as before:
        newest = before.runs[where.run].newest
        made = Scaled(
            run=where.run,
            params=where.params,
            newest=newest,
            width=width,
            depth=depth,
            by=by,
            out=out,
            weights=weights,
        )
        _write(where, before, before.model_copy(update={"scaled": {**before.scaled, name: made}}))
    return name


@contextmanager
def _locked(where: Where) -> Iterator[Ledger]:
    """The ledger while nobody else writes it: another run of the project may enter its own just now."""
    with lock_file(where.path(".star", "locks", "ledger.lock")) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield read_ledger(where)


def _write(where: Where, before: Ledger, after: Ledger) -> None:
    if after != before:
        text = HEADER + yaml.safe_dump({"ledger": after.model_dump()}, sort_keys=False)
        write_atomically(ledger_path(where.data), text.encode())


def _without(entries: dict[str, _Entry], names: set[str]) -> dict[str, _Entry]:
    return {name: entry for name, entry in entries.items() if name not in names}


def _file(where: Where, index: int) -> str:
    return generation_path(where.run, index, Path("data")).as_posix()


def _source(where: Where) -> str:
    source = session(where).params.data.source
    local = isinstance(source, str) and source != "kjv" and where.path(source).exists()
    return str(source) if local else NO_SOURCE


def remove(where: Where) -> list[str]:
    """Takes a run out of the ledger; returns the DVC stages that were made of its entries."""
    with _locked(where) as before:
        stages = [f"{kind}@{where.run}" for kind in ("prepare", "baselines", "retrain", "report")]
        stages += [f"founders@{where.run}", f"forks@{where.run}"]
        made = {name for name, entry in before.generations.items() if entry.run == where.run}
        scaled = {name for name, entry in before.scaled.items() if entry.run == where.run}

        after = Ledger(
            runs=_without(before.runs, {where.run}),
            founders=_without(before.founders, {where.run}),
            forks=_without(before.forks, {where.run}),
            generations=_without(before.generations, made),
            scaled=_without(before.scaled, scaled),
        )
        _write(where, before, after)
    return [*stages, *(f"generation@{name}" for name in made), *(f"scaled@{name}" for name in scaled)]
