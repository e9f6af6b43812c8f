"""The runs of the project: what is stored, what is not yet in DVC, and who is at work."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

from star_core.errors import StarError
from star_core.population.generation import next_index, stored_generations

from ..run.paths import RunPaths
from ..versions import dvc as versioning
from ..versions.ledger import read_ledger
from ..versions.stored_runs import stored
from .finding import Finding, Project, named, ok, refused, warning


def runs(project: Project) -> Iterator[Finding]:
    """One row a run, and one for each thing to do about it."""
    if not project.runs:
        yield ok("runs", "none yet (star evolve makes one)")
    for name in project.runs:
        paths = project.run(name)
        subject = f"run {name}"
        owner = worker(paths)
        try:
            known, here = read_ledger(paths).runs.get(name), stored_generations(name, paths.data)
            if known is not None and versioning.is_versioned(paths):
                yield from generations(subject, paths, known.last, next_index(here) > known.last)
            if known is not None and owner is None and next_index(here) <= known.last:
                text = f"{len(here)} of {known.last + 1} generations" if here else "none of its generations"
                evolve = f"star evolve {name} --generations {known.last}"
                fix = f"{evolve} makes them, dvc pull --allow-missing fetches them"
                yield warning(subject, f"{text} of the ledger are here yet", fix)
                continue
            found = stored(project.root, name)
            newest = found[-1]
            left = versioning.uncommitted(paths, newest.index) if versioning.is_versioned(paths) else []
        except StarError as error:
            yield refused(subject, error)
            continue
        text = f"generation {newest.index}, front {len(newest.front)}"
        if owner is not None:
            yield ok(subject, f"{text}; process {owner} is working on it")
        elif left:
            fix = f"star resume {name} --generations {newest.index}"
            yield warning(subject, f"{text}; not in DVC: {named(left)}", fix)
        else:
            yield ok(subject, text)
        if not paths.tokens.exists():
            yield warning(
                subject, "its corpus is not here", f"dvc pull prepare@{name}, or star prepare {name}"
            )


def generations(subject: str, paths: RunPaths, last: int, made: bool) -> Iterator[Finding]:
    """Where ``star evolve`` stops, if that is before the last generation in the ledger."""
    stated = paths.read_params().generations
    if stated < last:
        text = (
            f"star evolve stops at generation {stated} ({paths.params_file}); dvc repro makes what the ledger"
        )
        fix = "" if made else f"star evolve {paths.run} --generations {last}"
        yield ok(subject, f"{text} has, up to {last}", fix)


def worker(paths: RunPaths) -> str | None:
    """The process that works on a run; ``None`` if none does."""
    path = paths.path(".star", "locks", f"{paths.run}.lock")
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except OSError:
        pass
    return None
