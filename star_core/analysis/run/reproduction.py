"""A generation made twice, compared field by field: exactly the same, the same within rounding, or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from star_core.dotted import dotted
from star_core.evaluation import evaluation_key
from star_core.machine import possible_fingerprints
from star_core.population.generation import Generation
from star_core.population.individual import Individual

MEASURED = ("objectives", "violation", "crowding")
"""Fields of an individual whose values come from arithmetic that rounds."""
SPREAD = 3.0
"""Times the stated noise by which two measurements of the same thing may differ."""
MACHINE = ("key",)
"""Fields that name the type of machine an individual was evaluated on."""


class Agreement(Enum):
    """How two generations agree."""

    EXACT = "exact"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not the same.

    Attributes:
        place: Where the field is, e.g. ``g007-03, objectives.perplexity``.
        stored, made: Its value in the stored generation, and in the one made again.
        tolerated: Whether another machine type may round so.
    """

    place: str
    stored: object
    made: object
    tolerated: bool


@dataclass(frozen=True)
class Reproduction:
    """The comparison of a stored generation with the same one made again.

    Attributes:
        differences: Every field that differs, in the order of the file.
        other_machine: Whether they were evaluated on machines of different types.
    """

    differences: tuple[Difference, ...]
    other_machine: bool

    @property
    def agreement(self) -> Agreement:
        """``EXACT`` only if every byte is the same."""
        if not self.differences:
            return Agreement.EXACT
        within = all(difference.tolerated for difference in self.differences)
        return Agreement.WITHIN_TOLERANCE if within else Agreement.DIFFERENT


def compare(stored: Generation, made: Generation, tolerance: float) -> Reproduction:
    """Compares two generation records.

    Args:
        stored: As it is kept.
        made: The same generation, made again.
        tolerance: Largest relative difference of a measured value that another type of machine may
            make. On one type of machine every difference counts, but for what was measured with noise.
    """
    theirs, ours = ({individual.id: individual for individual in each.born} for each in (stored, made))
    other_machine = any(theirs[name].key != ours[name].key for name in theirs.keys() & ours.keys())
    inexact = other_machine or any(individual.noise for individual in (*theirs.values(), *ours.values()))
    allowed = tolerance if other_machine else 0.0
    found: list[Difference] = []
    for field in (
        "run",
        "index",
        "parent",
        "parameters",
        "data_digest",
        "vocab_size",
        "bytes_per_token",
        "semantics",
    ):
        kept, other = _plain(getattr(stored, field)), _plain(getattr(made, field))
        if kept != other:
            found.append(Difference(field, kept, other, tolerated=False))
    for group in ("population", "rejected", "evicted"):
        kept, other = (_names(getattr(each, group)) for each in (stored, made))
        if kept != other:
            # Another order of the same survivors follows from values that differ by rounding.
            same = set(kept) == set(other) and inexact
            found.append(Difference(group, kept, other, tolerated=same))
    everyone = [
        {individual.id: individual for individual in (*each.population, *each.rejected)}
        for each in (stored, made)
    ]
    for name in sorted(everyone[0].keys() & everyone[1].keys()):
        found += _individuals(everyone[0][name], everyone[1][name], allowed)
    return Reproduction(tuple(found), other_machine)


def machine_of(generation: Generation) -> dict[str, str] | None:
    """The fingerprint of the machine that made a generation's keys; ``None`` where they do not tell.

    A key is a digest, so kinds of machines are tried: those of this release of torch can be told.
    """
    params, data = generation.params(), generation.data_digest
    for individual in [each for each in generation.born if each.status != "stopped"][:1]:
        for machine in possible_fingerprints():
            if individual.key == evaluation_key(individual.digest, params, data, machine=machine):
                return machine
    return None


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _names(group: Sequence[Individual | str]) -> list[str]:
    return [member if isinstance(member, str) else member.id for member in group]


def _individuals(stored: Individual, made: Individual, tolerance: float) -> Iterator[Difference]:
    kept, other = dotted(stored.model_dump(mode="json")), dotted(made.model_dump(mode="json"))
    noise = {**(stored.noise or {}), **(made.noise or {})}
    for key in sorted(kept.keys() | other.keys()):
        a, b = kept.get(key), other.get(key)
        if a == b:
            continue
        field, _, name = key.partition(".")
        if field in MACHINE:
            continue  # said once for all: other_machine
        if field == "noise":
            yield Difference(f"{stored.id}, {key}", a, b, tolerated=True)
            continue
        near = (
            field in MEASURED
            and isinstance(a, int | float)
            and isinstance(b, int | float)
            and math.isclose(a, b, rel_tol=max(tolerance, SPREAD * noise.get(name, 0.0)))
        )
        # Crowding is a sum of differences of neighbours: it follows from the rest, as with noise does rank.
        follows = (field == "crowding" and tolerance > 0) or (field in ("crowding", "rank") and bool(noise))
        yield Difference(f"{stored.id}, {key}", a, b, tolerated=near or follows)
