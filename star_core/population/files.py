"""JSON files that are whole or absent, read with limits. Nothing here unpickles anything."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from star_core.errors import StoreError

MAX_BYTES = 1 << 28


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any instant, sees the old or the new one.

    Raises:
        StoreError: The folder cannot be written or the disk is full; an older file is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(path),
            fix="free disk space or make the folder writable, then run the same command again; "
            "nothing finished is lost",
        ) from error


def parse_json(content: bytes, place: str) -> Any:
    """The JSON value in ``content``.

    Raises:
        StoreError: Too large, not UTF-8, not JSON, too deep, or with NaN or infinity.
    """
    if len(content) > MAX_BYTES:
        raise StoreError(f"at most {MAX_BYTES >> 20} MiB are read", value=len(content), place=place)
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
        raise StoreError(f"cannot be read ({error.strerror})", place=str(path)) from error
    return parse_json(content, str(path))
