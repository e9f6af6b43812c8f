"""The runs of the project: what is stored, what is not yet in DVC, and who is at work."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

from star_core.errors import StarError

from ..run.paths import RunPaths
from ..versions import dvc as versioning
from ..versions.stored_runs import stored
from .finding import Finding, Project, ok, refused, warning


def runs(project: Project) -> Iterator[Finding]:
    """One row a run, and one for each thing to do about it."""
    if not project.runs:
        yield ok("runs", "none yet (star evolve makes one)")
    for name in project.runs:
        paths = project.run(name)
        subject = f"run {name}"
        owner = worker(paths)
        try:
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
            shown = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
            fix = f"star resume {name} --generations {newest.index}"
            yield warning(subject, f"{text}; not in DVC: {shown}", fix)
        else:
            yield ok(subject, text)
        if not paths.tokens.exists():
            yield warning(
                subject, "its corpus is not here", f"dvc pull prepare@{name}, or star prepare {name}"
            )


def worker(paths: RunPaths) -> str | None:
    """The process that works on a run; ``None`` if none does."""
    path = paths.path(".star", "locks", f"{paths.run}.lock")
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except OSError:
        pass
    return None
