"""Which files of a corpus must not be learnt from, as their names and folders say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from star_core.errors import DataError

HELD_OUT = "; held out by their names: "
"""How what is said about it begins, in the description of a corpus."""
_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "heldout": "validation",
    "holdout": "validation",
    "test": "test",
}
_WORD = re.compile(f"(?<![a-z])({'|'.join(_WORDS)})(?![a-z])")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SplitByName:
    """A split that the names of files make.

    Attributes:
        held_out: Names of files whose documents are validation data.
        left_out: Names of files that are not read: test data beside validation data.
        note: The same in words; empty if no name says anything.
    """

    held_out: frozenset[str]
    left_out: frozenset[str]
    note: str


def split_by_name(names: Sequence[str]) -> SplitByName:
    """The split of files by their paths, as seen from the source.

    Raises:
        DataError: A path has words for more than one part of a split.
    """
    parts = {name: part_of(name) for name in names}
    test = frozenset(name for name, part in parts.items() if part == "test")
    validation = frozenset(name for name, part in parts.items() if part == "validation")
    if not validation:
        return SplitByName(test, frozenset(), _note(test, frozenset()))
    return SplitByName(validation, test, _note(validation, test))


def part_of(name: str) -> str | None:
    """``train``, ``validation`` or ``test``, whichever a path names; ``None``: no part of a split.

    Raises:
        DataError: It names several.
    """
    found = sorted({_WORDS[word] for word in _WORD.findall(name.lower())})
    if len(found) > 1:
        raise DataError(
            f"a name says to which part of the split a file belongs, and this one says {' and '.join(found)}",
            value=name,
            place="data.source",
            fix="rename it, or name the files to be read one by one",
        )
    return found[0] if found else None


def _note(held_out: frozenset[str], left_out: frozenset[str]) -> str:
    note = HELD_OUT + _listed(held_out) if held_out else ""
    return note + (f"; test data, not read: {_listed(left_out)}" if left_out else "")


def _listed(names: frozenset[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
