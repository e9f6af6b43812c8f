"""What a command found, and the two ways it is printed: for people, and as one JSON document."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from unicodedata import category

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_UNLIMITED = 100_000
"""Columns of what is no terminal: a file or a pipe is as wide as what is written to it."""


@dataclass(frozen=True)
class Output:
    """What a command found.

    Attributes:
        data: What programs get: numbers as they are, stable names; or a function that makes it.
        parts: What people get, one below the other.
        code: Exit code of the command; 1: the answer is no.
    """

    data: object | Callable[[], object]
    parts: Iterable[RenderableType] = ()
    code: int = 0


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Prints what is for people, with an empty line before and after each table."""
    from star_core.analysis.terminal.table import TerminalTable

    console, before = people_console(), None
    for part in parts:
        if before is not None and (isinstance(part, TerminalTable) or isinstance(before, TerminalTable)):
            console.print()
        console.print(part, crop=False)
        before = part


def people_console() -> Console:
    """Standard output as wide as the terminal, or without one as wide as need be."""
    console = plain_console()
    return console if console.is_terminal else plain_console(width=_UNLIMITED)


def plain_console(**options: Any) -> Console:
    """A console to which text is text: neither markup nor names of emoji are read in it.

    Args:
        options: As of ``rich.console.Console``.
    """
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


def printable(text: object) -> str:
    """The text without what moves a terminal's cursor or cannot be encoded: one mark in its place."""
    return "".join(
        "\ufffd" if category(letter) in ("Cc", "Cs") and letter not in "\n\t" else letter
        for letter in str(text)
    )


def write_anything() -> None:
    """Prepares standard streams for any letter and any caller, before anything is printed or opened.

    A letter that an encoding lacks is printed as ``?``. A stream that the caller closed goes nowhere: left
    closed, its number would be given to the next file that is opened, and what is printed written there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif name == "stdout" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def say_error(text: object) -> None:
    """Prints one line, to standard error, of what went wrong; not being able to is no second error."""
    with suppress(OSError):
        sys.stderr.write(f"star: {printable(text)}\n")
        sys.stderr.flush()


def say(text: object) -> None:
    """Prints a line for people: wrapped between words by a terminal, never elsewhere."""
    people_console().print(printable(text))


@contextmanager
def only_document() -> Iterator[Callable[[object], None]]:
    """Keeps standard output for one JSON document: whatever else is printed goes to standard error.

    Yields:
        The function that writes the document.
    """
    sys.stdout.flush()
    kept = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # child processes inherit that

    def write(data: object) -> None:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(plain(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    try:
        yield write
    finally:
        sys.stdout.flush()
        os.dup2(kept, sys.stdout.fileno())
        os.close(kept)


def plain(value: Any) -> Any:
    """A value as JSON has it; numbers that are not finite, which JSON lacks, are ``null``."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Iterable):
        return [plain(inner) for inner in value]
    return str(value)
