"""JSON files that are whole or absent, read with limits. Nothing here unpickles anything."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from star_core.errors import StorageAway, StoreError
from star_core.storage.failures import is_away

MAX_BYTES = 1 << 28


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any instant, sees the old or the new one.

    Raises:
        StorageAway: The disk is full, or does not answer.
        StoreError: The folder cannot be written. An older file is untouched in both cases.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, temporary = _temporary(path)
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        kind = StorageAway if is_away(error) else StoreError
        raise kind(
            f"cannot be written ({error.strerror})",
            place=str(path),
            fix=f"{_remedy(error)}, then run the same command again; nothing finished is lost",
        ) from error


def _remedy(error: OSError) -> str:
    if error.errno == errno.EFBIG:
        return "raise the limit of file sizes (ulimit -f unlimited)"
    return "free disk space or make the folder writable"


def require_writable(folder: Path, fix: str = "make it a folder that can be written to") -> None:
    """Tries to write below a folder, which is made when it is needed; nothing is left there.

    Raises:
        StoreError: It cannot be written, or something that is no folder is in its place.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=there, prefix=".", suffix=".tmp"):
            pass
    except OSError as error:
        said = "no folder is there" if not there.is_dir() else error.strerror
        raise StoreError(f"cannot be written ({said})", place=str(there), fix=fix) from error


def _temporary(path: Path) -> tuple[BinaryIO, Path]:
    """A new file beside ``path``, locked as long as it is open: its writer lives."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        file = os.fdopen(handle, "wb")
        with suppress(OSError):  # a file system without locks has no left-overs removed either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return file, Path(name)
        file.close()  # taken for a left-over before it was locked


def discard_unfinished(folder: str | Path) -> None:
    """Removes temporary files in a folder and those in it whose writers were killed.

    A file that is being written is locked by its writer and stays.
    """
    for left in (*Path(folder).glob(".*.tmp"), *Path(folder).glob("*/.*.tmp")):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def parse_json(content: bytes, place: str) -> Any:
    """The JSON value in ``content``.

    Raises:
        StoreError: Too large, not UTF-8, not JSON, too deep, or with NaN or infinity.
    """
    if len(content) > MAX_BYTES:
        raise StoreError(
            f"at most {MAX_BYTES >> 20} MiB are read", value=len(content), place=place, fix=f"delete {place}"
        )
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise StoreError(f"not valid JSON: {reason[:200]}", place=place, fix=f"delete {place}") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that may stand in a file")


def read_json(path: Path) -> Any:
    """Reads a local JSON file.

    Raises:
        StoreError: It cannot be read, or as ``parse_json``.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        fix = "see what is stored (star runs), or fetch it (dvc pull)" if missing else f"restore it: {path}"
        raise StoreError(f"cannot be read ({error.strerror})", place=str(path), fix=fix) from error
    return parse_json(content, str(path))
