"""Locks: who may work on a run, and who may write a file that several runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from star_core.errors import ConfigError, StoreError
from star_core.population.generation import check_run_name

from .paths import RunPaths

_SIGNED = 0.2
"""Seconds in which whoever takes a lock has written its number."""


class Busy(ConfigError):  # noqa: N818
    """A run that another process is working on."""


def lock_file(path: Path, timeout: float = -1) -> AbstractContextManager[object]:
    """Locks a file, made if missing, until the ``with`` block around this ends, or the process does.

    The file then holds the number of this process.

    Raises:
        Timeout: Another process held it for ``timeout`` seconds, if that is not negative.
        StoreError: Its folder cannot be written.
    """
    try:
        # A soft lock would outlast a process that is killed.
        lock = FileLock(path, timeout, fallback_to_soft=False, on_acquired=_sign)
        return lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(path),
            fix="work in a folder that can be written to",
        ) from error


def _sign(descriptor: int) -> None:
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


@contextmanager
def exclusive(paths: RunPaths) -> Iterator[None]:
    """Holds the run for this process; the lock ends with the process, however it ends.

    Raises:
        Busy: Another process is working on the run.
    """
    path = paths.path(".star", "locks", f"{check_run_name(paths.run)}.lock")
    try:
        lock = lock_file(path, _SIGNED)
    except Timeout:
        owner = path.read_text(encoding="utf-8", errors="replace").strip() or "?"
        raise Busy(
            f"process {owner} is working on this run",
            value=paths.run,
            place="run",
            fix="wait for it, or end it first",
        ) from None
    with lock:
        yield
