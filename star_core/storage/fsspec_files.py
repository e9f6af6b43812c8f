"""Objects in whatever else fsspec reads: memory, other clouds, a server by SFTP."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

from star_core.errors import StoreError
from star_core.storage.contract import PLACE, Found, ObjectStorage
from star_core.storage.failures import cause, failure, redact

_turn = threading.Lock()
"""Held while an object is looked at and then written: no two threads of this process do so at once."""


class Filesystem(ObjectStorage):
    """An fsspec file system.

    Conditions hold between the threads of a process only. Between processes the last who writes has an
    object, and finds out when it looks again.
    """

    def __init__(self, location: str) -> None:
        self._location, self._process, self._files = location, 0, None
        try:
            _, self._root = self._open()
        except (ValueError, ImportError, OSError) as error:
            raise StoreError(
                f"no such storage ({redact(str(error))})",
                value=location,
                place=PLACE,
                fix="name a folder, or a URL such as s3://bucket/prefix",
            ) from cause(error)

    def place(self, name: str) -> str:
        """The object's URL."""
        return f"{self._location.rstrip('/')}/{name}"

    def read(self, name: str, limit: int) -> Found | None:
        """An object, its content only up to ``limit`` bytes; ``None`` if there is none."""
        with self._asking("read", name) as files:
            try:
                size = files.size(self._path(name))
                content = files.cat_file(self._path(name)) if size is None or size <= limit else b""
            except FileNotFoundError:
                return None
            return Found(content, len(content) if size is None else size, hashlib.sha256(content).hexdigest())

    def size(self, name: str) -> int | None:
        """The size the file system states."""
        with self._asking("read", name) as files:
            try:
                size: int | None = files.size(self._path(name))
            except FileNotFoundError:
                return None
            return size

    def write(self, name: str, content: bytes) -> None:
        """Stores an object."""
        with self._asking("written", name) as files:
            files.pipe_file(self._path(name), content)

    def move(self, name: str, target: str, tag: str) -> bool:
        """Moves the object with ``tag``."""
        with _turn:
            if self.size(target) is not None:
                return False
            if self._has(name, tag):
                with self._asking("moved", name) as files:
                    files.cp_file(self._path(name), self._path(target))  # mv takes paths for patterns
                    files.rm_file(self._path(name))
            return True

    def create(self, name: str, content: bytes) -> str | None:
        """Stores a new object."""
        with _turn:
            return self._put(name, content) if self.size(name) is None else None

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Stores another content."""
        with _turn:
            return self._put(name, content) if self._has(name, tag) else None

    def delete(self, name: str, tag: str) -> bool:
        """Removes an object."""
        with _turn:
            if not self._has(name, tag):
                return False
            with self._asking("deleted", name) as files:
                files.rm_file(self._path(name))
            return True

    def _put(self, name: str, content: bytes) -> str | None:
        self.write(name, content)
        tag = hashlib.sha256(content).hexdigest()
        return tag if self._has(name, tag) else None

    def _has(self, name: str, tag: str) -> bool:
        found = self.read(name, 1 << 20)
        return found is not None and found.tag == tag

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _asking(self, action: str, name: str) -> Iterator[Any]:
        try:
            if self._process != os.getpid():  # no connection is used by two processes
                self._files, _ = self._open()
                self._process = os.getpid()
            yield self._files
        except StoreError:
            raise
        except Exception as error:
            raise failure(error, action, self.place(name)) from cause(error)

    def _open(self) -> tuple[Any, str]:
        files, root = fsspec.core.url_to_fs(
            self._location, use_listings_cache=False, skip_instance_cache=True
        )
        return files, root.rstrip("/")


def _fresh_turn() -> None:
    global _turn
    _turn = threading.Lock()


os.register_at_fork(after_in_child=_fresh_turn)
