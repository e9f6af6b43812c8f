"""Documents that need not fit in memory: a temporary file of them, and a choice among others."""

from __future__ import annotations

import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[Any]
"""Token ids of one document or split: shape (length,), unsigned integers."""

Reached = Callable[[str, int, int], None]
"""Told of a stage how many of its files or documents are done, and how many there are."""

T = TypeVar("T")
_SECONDS = 0.1
"""Between two times that it is told."""

IN_MEMORY = 64 << 20
"""Bytes of documents up to which no file is made."""


class Documents(Protocol):
    """Documents that are read one by one; a tuple of arrays is such."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Tokens: ...

    def __iter__(self) -> Iterator[Tokens]: ...


def unwatched(stage: str, done: int, total: int) -> None:
    """Nobody is told."""


def watched(entries: Iterable[T], stage: str, total: int, reached: Reached) -> Iterator[T]:
    """The same entries, while it is told how many are done."""
    done, told = 0, -_SECONDS
    for entry in entries:
        if (now := time.monotonic()) - told >= _SECONDS:
            reached(stage, done, total)
            told = now
        yield entry
        done += 1
    reached(stage, done, total)


class Spool:
    """Documents in a temporary file, which is gone when this is.

    Args:
        dtype: Of their tokens.
        folder: Where the file is made once it is needed; ``None``: where the system has its temporary files.
    """

    def __init__(self, dtype: np.dtype[Any], folder: Path | None = None) -> None:
        self._dtype, self._ends = dtype, array("Q", [0])
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - it is closed when this is deleted
            IN_MEMORY, dir=None if folder is None else str(folder)
        )

    def append(self, document: Tokens) -> None:
        """Adds a document behind the others."""
        self._file.seek(self._ends[-1])
        self._file.write(np.ascontiguousarray(document, self._dtype).tobytes())
        self._ends.append(self._file.tell())

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int, /) -> Tokens:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self._file.seek(self._ends[index])
        return np.frombuffer(self._file.read(self._ends[index + 1] - self._ends[index]), self._dtype)

    def __iter__(self) -> Iterator[Tokens]:
        return (self[index] for index in range(len(self)))

    def __del__(self) -> None:
        self._file.close()


class Selected:
    """Some of the documents, in an order.

    Args:
        documents: All.
        order: Which of them, by their place.
    """

    def __init__(self, documents: Documents, order: NDArray[np.int64]) -> None:
        self._documents, self._order = documents, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int, /) -> Tokens:
        return self._documents[int(self._order[index])]

    def __iter__(self) -> Iterator[Tokens]:
        return (self[index] for index in range(len(self)))
