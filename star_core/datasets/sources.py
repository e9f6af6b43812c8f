"""Where data lies: files, folders, patterns and fsspec URLs, and the files behind them."""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from star_core.datasets.base import DATASETS, dataset_names
from star_core.errors import DataError, nearest
from star_core.paths import local_path

COMPRESSED = (".gz", ".zst")
_SHOWN = 5
_COMPANIONS = ("meta.json", "state.json", "dataset_info.json", "dataset_dict.json")
"""Say what is in the files beside them, and hold no text."""


class File(NamedTuple):
    """A file of a source.

    Attributes:
        files: The file system it is on.
        path: Where it is there.
        folder: The folder that the source is, or has a pattern in; empty where it is the file itself.
        remote: Whether the source is a URL.
    """

    files: Any
    path: str
    folder: str
    remote: bool

    @property
    def name(self) -> str:
        """Its path as seen from the source."""
        return self.path[len(self.folder) :].strip("/") if self.folder else os.path.basename(self.path)

    @property
    def named(self) -> str:
        """The same, with the name of the source's folder before it."""
        return "/".join(filter(None, (os.path.basename(self.folder), self.name)))

    @property
    def place(self) -> str:
        """Its path, or URL."""
        return str(self.files.unstrip_protocol(self.path)) if self.remote else self.path

    @property
    def kind(self) -> str:
        """How its name ends, once what says that it is compressed is taken off."""
        return kind_of(self.path)[0]

    @property
    def compression(self) -> str:
        """``.gz``, ``.zst`` or nothing."""
        return kind_of(self.path)[1]


def kind_of(path: str) -> tuple[str, str]:
    """How a name ends, before and in what says that the file is compressed: ``.txt`` and ``.gz``."""
    stem, last = os.path.splitext(path)
    return (os.path.splitext(stem)[1], last) if last in COMPRESSED else (last, "")


@dataclass(frozen=True, slots=True)
class Found:
    """The files behind an entry of ``data.source``, sorted.

    Attributes:
        files: Those to be read.
        skipped: Names of the others; hidden ones are not among them.
        hidden: How many are hidden, or in hidden folders.
    """

    files: Sequence[File]
    skipped: Sequence[str] = ()
    hidden: int = 0


def told(skipped: Sequence[str], empty: Sequence[str], hidden: int) -> str:
    """What of a source was not read, in words: counted by kind, the first by name; empty if all was.

    Args:
        skipped: Names of files of other kinds.
        empty: Names of files without text.
        hidden: How many are hidden.
    """
    kinds = Counter(os.path.splitext(name)[1] or "without a suffix" for name in skipped)
    counted = [f"{count} {kind}" for kind, count in kinds.most_common()]
    counted += [f"{len(empty)} empty"] if empty else []
    counted += [f"{hidden} hidden"] if hidden else []
    names = sorted({*skipped, *empty})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    listed = f" ({', '.join(names[:_SHOWN])}{more})" if names else ""
    return f"not read: {', '.join(counted)}{listed}" if counted else ""


def join_path(folder: str, name: str) -> str:
    """The path of a file in a folder of any file system."""
    return f"{folder.rstrip('/')}/{name}"


def locate(entry: str) -> tuple[Any, str]:
    """The file system of a source and the path there; what is no URL is on this machine."""
    try:
        if "://" in entry:
            files, path = fsspec.core.url_to_fs(entry)
            return files, str(path)
        return LocalFileSystem(), os.path.abspath(local_path(entry))
    except (OSError, ValueError, ImportError) as error:
        raise unreadable(entry, error) from error


def find(entry: str, suffixes: Sequence[str], can_be_read: str) -> Found:
    """Files behind one entry: a file, a folder but for what is hidden, else a pattern.

    Args:
        entry: Of ``data.source``.
        suffixes: How the names of files to be read end; of compressed ones, before that suffix.
        can_be_read: The same in words, for messages.

    Raises:
        DataError: There is nothing, or nothing of these suffixes.
    """
    files, path = locate(entry)
    hidden = False
    try:
        if files.isdir(path):
            paths, folder = files.find(path), path.rstrip("/")
        elif files.exists(path):
            paths, folder = [path], ""
        elif glob.has_magic(path):
            folder = _literal(files, path)
            pattern = path[len(folder) :]
            hidden = "/." in pattern
            paths = files.glob(glob.escape(folder) + pattern)
        else:
            paths, folder = [], ""
    except (OSError, ValueError, ImportError) as error:
        raise unreadable(entry, error) from error
    if not paths:
        raise DataError(
            "no such dataset, file or folder",
            value=entry,
            place="data.source",
            fix=f"{nearest(entry, dataset_names())}, or a path to {can_be_read}{DATASETS.where_to_find()}",
        )
    found = [File(files, found, folder, "://" in entry) for found in sorted(paths)]
    seen = [file for file in found if not _is_hidden(file, hidden)]
    chosen = [file for file in seen if file.path.endswith(tuple(suffixes))]
    if not chosen:
        raise DataError(
            f"holds no {', '.join(suffixes[:3])}, …",
            value=entry,
            place="data.source",
            fix=f"name {can_be_read}",
        )
    skipped = [
        file.name for file in seen if file not in chosen and os.path.basename(file.path) not in _COMPANIONS
    ]
    return Found(chosen, skipped, len(found) - len(seen))


def _is_hidden(file: File, hidden: bool) -> bool:
    return os.path.basename(file.path).startswith(".") or (not hidden and "/." in f"/{file.name}")


def _literal(files: Any, pattern: str) -> str:
    """The folder that a pattern is below: as much of it as exists, or has nothing of a pattern."""
    folder, *parts = pattern.split("/")
    for part in parts[:-1]:
        below = f"{folder}/{part}"
        if glob.has_magic(part) and not files.exists(below):
            break
        folder = below
    return folder


def read(file: File) -> bytes:
    """The content of a file, as it lies there.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with file.files.open(file.path, "rb") as opened:
            return bytes(opened.read())
    except (OSError, ValueError, ImportError) as error:
        raise unreadable(file.place, error) from error


def unreadable(place: str, error: Exception) -> DataError:
    """What to say of a place that cannot be read."""
    reason = getattr(error, "strerror", None) or json.dumps(str(error))
    return DataError(f"cannot be read ({reason})", place=place, fix="check the path and its permissions")
