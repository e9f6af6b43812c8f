"""Locks: who may work on a run, and who may write a file that several runs share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from star_core.errors import ConfigError, StoreError
from star_core.population.generation import check_run_name

from .paths import RunPaths


class Busy(ConfigError):  # noqa: N818
    """A run that another process is working on."""


def lock_file(path: Path) -> TextIO:
    """Opens a lock's file, made if missing.

    Raises:
        StoreError: Its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(path),
            fix="work in a folder that can be written to",
        ) from error


@contextmanager
def exclusive(paths: RunPaths) -> Iterator[None]:
    """Holds the run for this process; the lock ends with the process, however it ends.

    Raises:
        Busy: Another process is working on the run.
    """
    path = paths.path(".star", "locks", f"{check_run_name(paths.run)}.lock")
    with lock_file(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "?"
            raise Busy(
                f"process {owner} is working on this run",
                value=paths.run,
                place="run",
                fix="wait for it, or end it first",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
