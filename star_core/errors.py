"""Errors a user can act on: each names the value, the place, the rule it breaks and a fix."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 120
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 8
_SHORT.maxlevel = 3


class StarError(Exception):
    """An input that breaks a stated rule.

    Args:
        rule: The rule that is broken, as one clause.
        value: The offending value, shown with ``repr``; ``None`` leaves it out.
        place: Where the value stands: a file, a key, a position in a genome.
        fix: What to do about it: the nearest valid choice or a command.
    """

    def __init__(self, rule: str, *, value: object = None, place: str = "", fix: str = "") -> None:
        self.rule, self.value, self.place, self.fix = rule, value, place, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.place}: " if self.place else ""
        shown = f"{_SHORT.repr(self.value)}: " if self.value is not None else ""
        tail = f". Fix: {self.fix}" if self.fix else ""
        return f"{head}{shown}{self.rule}{tail}"

    def at(self, place: str) -> StarError:
        """The same error seen from further out: ``place`` is put before the present one."""
        inner = f"{place}: {self.place}" if self.place else place
        outer = type(self).__new__(type(self))
        outer.__dict__.update(self.__dict__)
        StarError.__init__(outer, self.rule, value=self.value, place=inner, fix=self.fix)
        return outer


class GenomeError(StarError):
    """A genome that breaks a rule of its search space.

    Attributes:
        position: Index into the genome's vector (five integers per LIV), or ``None`` where the
            text cannot be read as a vector at all.
    """

    def __init__(
        self,
        rule: str,
        *,
        value: object = None,
        place: str = "",
        fix: str = "",
        position: int | None = None,
    ) -> None:
        self.position = position
        super().__init__(rule, value=value, place=place, fix=fix)


class ConfigError(StarError):
    """A parameter that is unknown, missing or out of range."""


class DataError(StarError):
    """A corpus, token file or data folder that cannot be used."""


class StoreError(StarError):
    """A stored generation or evaluation that is malformed, foreign or tampered with."""


def is_whole(value: object) -> bool:
    """Whether a value is an integer; ``True`` and ``False`` are not, though Python says so."""
    return isinstance(value, int) and not isinstance(value, bool)


class StorageAway(StoreError):  # noqa: N818
    """Storage that does not answer, or is full: what failed may succeed later."""


def nearest(value: object, choices: Iterable[object]) -> str:
    """The choices as text, the one most like ``value`` named first: the ``fix`` of most errors."""
    texts = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(value), texts, n=1, cutoff=0.5)
    listed = ", ".join(texts)
    return f"did you mean {close[0]!r}? Valid: {listed}" if close else f"use one of {listed}"
