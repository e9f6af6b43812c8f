"""Objects as files below a folder of this machine, or of a file server."""

from __future__ import annotations

import os
from pathlib import Path

from star_core.errors import StoreError
from star_core.storage.contract import Found, Storage
from star_core.storage.failures import failure, is_away
from star_core.storage.files import write_atomically


class Folder(Storage):
    """A folder, made when something is first stored in it."""

    def __init__(self, root: str) -> None:
        self.root = root

    def place(self, name: str) -> str:
        """The file's path."""
        return f"{self.root}/{name}"

    def read(self, name: str, limit: int) -> Found | None:
        """The file, its content only up to ``limit`` bytes; ``None`` if there is none."""
        path = self.place(name)
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                content = file.read() if status.st_size <= limit else b""
                return Found(content, status.st_size, _tag(status))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(error, "read", path) from error

    def size(self, name: str) -> int | None:
        """The file's size."""
        path = self.place(name)
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failure(error, "read", path) from error

    def write(self, name: str, content: bytes) -> None:
        """Writes the file, whole or not at all."""
        write_atomically(Path(self.place(name)), content)

    def move(self, name: str, target: str, tag: str) -> bool:
        """Renames the file with ``tag``; false if there is one of the new name."""
        path, moved = self.place(name), self.place(target)
        try:
            os.makedirs(os.path.dirname(moved), exist_ok=True)
            try:
                os.close(os.open(moved, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                return False
            try:
                if _tag(os.stat(path)) != tag:
                    raise FileNotFoundError
                os.replace(path, moved)
            except FileNotFoundError:  # somebody else did
                os.unlink(moved)
        except OSError as error:
            raise _failure(error, "moved", path) from error
        return True


def _failure(error: OSError, action: str, path: str) -> StoreError:
    return failure(error, action, path, fix="" if is_away(error) else "name a folder this user may write to")


def _tag(status: os.stat_result) -> str:
    return f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
