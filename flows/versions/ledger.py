"""Entering runs, generations and trainings at other sizes in the ledger, and taking runs out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from star_core.config.plain_yaml import to_yaml
from star_core.population.generation import first_index, generation_path, read_generation
from star_core.population.ledger import Entry, Forked, Founders, Ledger, Run, Scaled, ledger_path
from star_core.population.ledger import read_ledger as stored_ledger
from star_core.storage.files import write_atomically

from ..run.locks import lock_file
from ..run.paths import RunPaths

HEADER = "# Stored generations, written by `star evolve`; dvc.yaml makes a stage of each.\n"
NO_SOURCE = "star_core/semantics.py"
"""What the corpus depends on where its source is no single local path: something that is always there."""
_Entry = TypeVar("_Entry")


def read_ledger(paths: RunPaths) -> Ledger:
    """The ledger; empty where there is none yet.

    Raises:
        StoreError: It is not what ``star evolve`` writes.
    """
    return stored_ledger(paths.data)


def enter(paths: RunPaths, source: object, index: int) -> None:
    """Enters generation ``index`` of a run, and those before it.

    Args:
        paths: The run.
        source: What its corpus is made from (``data.source``).
        index: Of its newest stored generation.
    """
    with _locked(paths) as before:
        known = before.runs.get(paths.run)
        last = max(index, known.last if known else 0)
        first = first_index(paths.run, paths.data)
        founders, forks = dict(before.founders), dict(before.forks)
        opening = read_generation(paths.generation(first), paths.run, first)
        if opening.is_fork and opening.parent is not None:
            forks[paths.run] = Forked(
                source=opening.parent.run,
                index=first,
                parent=generation_path(opening.parent.run, first, Path("data")).as_posix(),
                out=_file(paths, first),
                params=paths.params_file,
            )
        else:
            founders[paths.run] = Founders(params=paths.params_file)
        run = Run(
            params=paths.params_file, last=last, newest=_file(paths, last), source=_source(paths, source)
        )
        made = {
            f"{paths.run}-{number:03d}": Entry(
                run=paths.run,
                index=number,
                parent=_file(paths, number - 1),
                out=_file(paths, number),
                params=paths.params_file,
            )
            for number in range(first + 1, last + 1)
        }
        scaled = {
            name: retraining.model_copy(update={"newest": run.newest})
            if retraining.run == paths.run
            else retraining
            for name, retraining in before.scaled.items()
        }
        after = Ledger(
            runs={**before.runs, paths.run: run},
            founders=founders,
            forks=forks,
            generations={**before.generations, **made},
            scaled=scaled,
        )
        _write(paths, before, after)


def enter_scaled(paths: RunPaths, width: int, depth: int, by: str, out: str, weights: str) -> str:
    """Enters a training at another size; returns its name, by which DVC knows its stage."""
    name = f"{paths.run}-width-{width}-depth-{depth}"
    with _locked(paths) as before:
        newest = before.runs[paths.run].newest
        made = Scaled(
            run=paths.run,
            params=paths.params_file,
            newest=newest,
            width=width,
            depth=depth,
            by=by,
            out=out,
            weights=weights,
        )
        _write(paths, before, before.model_copy(update={"scaled": {**before.scaled, name: made}}))
    return name


@contextmanager
def _locked(paths: RunPaths) -> Iterator[Ledger]:
    """The ledger while nobody else writes it: another run of the project may enter its own just now."""
    with lock_file(paths.path(".star", "ledger.lock")):
        yield read_ledger(paths)


def _write(paths: RunPaths, before: Ledger, after: Ledger) -> None:
    if after != before:
        text = HEADER + to_yaml({"ledger": after.model_dump()})
        write_atomically(ledger_path(paths.data), text.encode())


def _without(entries: dict[str, _Entry], names: set[str]) -> dict[str, _Entry]:
    return {name: entry for name, entry in entries.items() if name not in names}


def _file(paths: RunPaths, index: int) -> str:
    return generation_path(paths.run, index, Path("data")).as_posix()


def _source(paths: RunPaths, source: object) -> str:
    """What DVC watches for it: a local path, but none that the corpus itself lies below."""
    if not isinstance(source, str) or source == "kjv" or not paths.path(source).exists():
        return NO_SOURCE
    return NO_SOURCE if paths.path(source).resolve() in paths.tokens.resolve().parents else source


def remove(paths: RunPaths) -> list[str]:
    """Takes a run out of the ledger; returns the DVC stages that were made of its entries."""
    with _locked(paths) as before:
        stages = [f"{kind}@{paths.run}" for kind in ("prepare", "baselines", "retrain", "report")]
        stages += [f"founders@{paths.run}", f"forks@{paths.run}"]
        made = {name for name, entry in before.generations.items() if entry.run == paths.run}
        scaled = {name for name, entry in before.scaled.items() if entry.run == paths.run}

        after = Ledger(
            runs=_without(before.runs, {paths.run}),
            founders=_without(before.founders, {paths.run}),
            forks=_without(before.forks, {paths.run}),
            generations=_without(before.generations, made),
            scaled=_without(before.scaled, scaled),
        )
        _write(paths, before, after)
    return [*stages, *(f"generation@{name}" for name in made), *(f"scaled@{name}" for name in scaled)]
