"""What a check finds, and what it looks at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from star_core.config import Params, load_params
from star_core.errors import StarError
from star_core.storage.failures import redact

from ..run.paths import RunPaths
from ..versions.ledger import read_ledger

_USER = re.compile(r"(?<=://)[^/\s@]+@")


class Level(StrEnum):
    """How bad it is: only a problem stops something from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One row of the table.

    Attributes:
        level: How bad it is.
        subject: What was looked at.
        text: What was found; never a credential.
        fix: What to do about it.
    """

    level: Level
    subject: str
    text: str
    fix: str = ""


def ok(subject: str, text: str, fix: str = "") -> Finding:
    """All is well; ``fix``: what may be done next."""
    return Finding(Level.OK, subject, text, fix)


def warning(subject: str, text: str, fix: str = "") -> Finding:
    """It works, but somebody should know."""
    return Finding(Level.WARNING, subject, text, fix)


def problem(subject: str, text: str, fix: str = "") -> Finding:
    """Something does not work."""
    return Finding(Level.PROBLEM, subject, text, fix)


def refused(subject: str, error: StarError) -> Finding:
    """An error as a problem."""
    shown = f"{error.value!r}: " if error.value is not None else ""
    place = f"{error.place}: " if error.place else ""
    return problem(subject, shown_url(f"{place}{shown}{error.rule}"), shown_url(error.fix))


def named(names: list[str]) -> str:
    """A few names, and how many there are besides."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def shown_url(text: str) -> str:
    """Text in which URLs have no user and password."""
    return redact(_USER.sub("", text))


@dataclass(frozen=True)
class Project:
    """The project that checks look at.

    Attributes:
        root: The project folder.
        file: The parameter file, relative to ``root``.
        only: The run that is asked about; ``None``: all.
        changes: Parameters in place of the file's.
    """

    root: Path
    file: str
    only: str | None = None
    changes: tuple[str, ...] = ()

    @property
    def paths(self) -> RunPaths:
        """The project, for functions that want a run as well."""
        return self.run(self.only or "main")

    def run(self, name: str) -> RunPaths:
        """A run of the project."""
        known = self._files.get(name)
        return RunPaths(str(self.root), name, known or self.file)

    @cached_property
    def params(self) -> Params:
        """The parameters.

        Raises:
            StarError: They cannot be read.
        """
        return load_params(self.root / self.file, self.changes)

    @cached_property
    def _files(self) -> dict[str, str]:
        try:
            runs = read_ledger(RunPaths(str(self.root), "main")).runs
        except StarError:
            return {}
        return {name: run.params for name, run in runs.items()}

    @property
    def runs(self) -> list[str]:
        """Runs in the ledger or with a file of their own."""
        if self.only is not None:
            return [self.only]
        folder = self.root / "data" / "populations"
        stored = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
        return sorted({*self._files, *stored})


Check = Callable[[Project], Iterator[Finding]]
