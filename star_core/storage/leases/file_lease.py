"""Leases in a folder: locks on files, which the kernel lets go when their process ends in whatever way."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from types import TracebackType

from star_core.storage.failures import failure, is_away

_TRIES, _PAUSE = 3, 0.003
"""Against ``is_free`` of others, which holds a lock for an instant."""
_held: set[int] = set()
"""Descriptors of this process's locks."""


class FileLease:
    """A lock on a file, which is removed with it."""

    lost = False

    def __init__(self, path: str, descriptor: int) -> None:
        self._path, self._descriptor, self._process = path, descriptor, os.getpid()

    def __enter__(self) -> FileLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process != os.getpid():  # a forked child's copy
            return
        try:
            # While it is locked: whoever opened it before finds out that it is no more.
            os.unlink(self._path)
        except OSError:
            pass  # the next to take it does
        finally:
            _held.discard(self._descriptor)
            os.close(self._descriptor)


class FileLeases:
    """Leases by evaluation key, in a folder that all who share it see; NFS has such locks too."""

    def __init__(self, root: str) -> None:
        self._folder = f"{root}/leases"

    def take(self, key: str) -> FileLease | None:
        """The lease, or ``None`` if it is held."""
        path = self._path(key)
        try:
            os.makedirs(self._folder, exist_ok=True)
            while True:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    locked = _lock(descriptor, fcntl.LOCK_EX, _TRIES)
                    if locked and _is(path, descriptor):
                        _held.add(descriptor)
                        return FileLease(path, descriptor)
                except BaseException:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
                if not locked:
                    return None
                # Else its holder removed it after it was opened here: once more, with the new one.
        except OSError as error:
            raise self._failure(error, path) from error

    def is_free(self, key: str) -> bool:
        """Whether nobody holds it."""
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise self._failure(error, path) from error
        try:
            return _lock(descriptor, fcntl.LOCK_SH, 1)
        except OSError as error:
            raise self._failure(error, path) from error
        finally:
            os.close(descriptor)

    def discard_ended(self) -> None:
        """Removes what holders that were killed left: files that nobody has locked."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for path in (f"{self._folder}/{name}" for name in names if name.endswith(".lock")):
            with suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    if _lock(descriptor, fcntl.LOCK_EX, 1) and _is(path, descriptor):
                        os.unlink(path)
                finally:
                    os.close(descriptor)

    def _path(self, key: str) -> str:
        return f"{self._folder}/{key}.lock"

    def _failure(self, error: OSError, path: str) -> Exception:
        fix = "" if is_away(error) else "name a folder this user may write to, on a file system with locks"
        return failure(error, "locked", path, fix=fix)


def _lock(descriptor: int, kind: int, tries: int) -> bool:
    """Whether the lock was had; it goes when the descriptor is closed."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(_PAUSE)
        else:
            return True
    return False


def _is(path: str, descriptor: int) -> bool:
    """Whether the open file is the one of that name now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """Closes a forked child's copies, with which it would keep its parent's leases beyond its death."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
