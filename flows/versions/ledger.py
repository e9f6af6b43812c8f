"""The ledger: which runs and generations are stored, as ``dvc.yaml`` reads it to make its stages."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from star_core.config import PlainLoader
from star_core.errors import StoreError
from star_core.population.generation import first_index, generation_path, read_generation
from star_core.storage.files import write_atomically

from ..run.locks import lock_file
from ..run.paths import RunPaths

HEADER = "# Stored generations, written by `star evolve`; dvc.yaml makes a stage of each.\n"
NO_SOURCE = "star_core/semantics.py"
"""What the corpus depends on where its source is no single local path: something that is always there."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Run(_Record):
    """A run: its parameter file, its newest generation, and the text it learns from."""

    params: str
    last: int = Field(ge=0, lt=100_000)
    newest: str
    source: str


class Founders(_Record):
    """The founders of a run."""

    params: str


class Forked(_Record):
    """The first generation of a run that was forked from another one's generation."""

    source: str
    index: int = Field(ge=0)
    parent: str
    out: str
    params: str


class Entry(_Record):
    """A generation after the founders, and the file it is made from."""

    run: str
    index: int = Field(ge=1)
    parent: str
    out: str
    params: str


class Scaled(_Record):
    """The best of a run's newest generation, trained at another size."""

    run: str
    params: str
    newest: str
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    by: str
    out: str
    weights: str


class Ledger(_Record):
    """All runs and generations of a project, by name; a run has founders or is a fork."""

    runs: dict[str, Run] = Field(default_factory=dict)
    founders: dict[str, Founders] = Field(default_factory=dict)
    forks: dict[str, Forked] = Field(default_factory=dict)
    generations: dict[str, Entry] = Field(default_factory=dict)
    scaled: dict[str, Scaled] = Field(default_factory=dict)

    def complete(self) -> Ledger:
        """The ledger with founders for every run that is no fork; those of old versions lack them."""
        missing = {
            name: Founders(params=run.params)
            for name, run in self.runs.items()
            if name not in self.founders and name not in self.forks
        }
        return self.model_copy(update={"founders": {**self.founders, **missing}})


def ledger_path(paths: RunPaths) -> Path:
    """The ledger of all runs."""
    return paths.data / "ledger.yaml"


def read_ledger(paths: RunPaths) -> Ledger:
    """The ledger; empty where there is none yet.

    Raises:
        StoreError: It is not what ``star evolve`` writes.
    """
    path = ledger_path(paths)

    def refuse(reason: str, key: str = "", value: object = None) -> StoreError:
        place = f"{path}, {key}" if key else str(path)
        return StoreError(reason, value=value, place=place, fix=f"restore it (git checkout {path})")

    try:
        content = yaml.load(path.read_text(), Loader=PlainLoader)
    except FileNotFoundError:
        return Ledger()
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise refuse(f"cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict) or set(content) != {"ledger"}:
        raise refuse("a ledger has the one key 'ledger'", value=content)
    try:
        return Ledger.model_validate(content["ledger"]).complete()
    except ValidationError as error:
        first = error.errors()[0]
        raise refuse(first["msg"], ".".join(map(str, first["loc"])), first.get("input")) from None


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
    with lock_file(paths.path(".star", "locks", "ledger.lock")) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield read_ledger(paths)


def _write(paths: RunPaths, before: Ledger, after: Ledger) -> None:
    if after != before:
        text = HEADER + yaml.safe_dump({"ledger": after.model_dump()}, sort_keys=False)
        write_atomically(ledger_path(paths), text.encode())


def _file(paths: RunPaths, index: int) -> str:
    return generation_path(paths.run, index, Path("data")).as_posix()


def _source(paths: RunPaths, source: object) -> str:
    local = isinstance(source, str) and source != "kjv" and paths.path(source).exists()
    return str(source) if local else NO_SOURCE
