"""Picking one candidate: the best by one objective among those within limits, and what each limit costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.nearest import breaches, nearest_of
from star_core.analysis.run.pareto import non_dominated
from star_core.config import Objectives, Params
from star_core.errors import ConfigError
from star_core.objectives.base import measure, objective, objective_of, violation

NEIGHBOURS = 2
"""Members of the front that are shown on each side of the choice."""


@dataclass(frozen=True)
class Contender:
    """A trained candidate, judged by what was asked.

    Attributes:
        id: Its name.
        genome: Text.
        digest: Of its architecture.
        objectives: Name → value, of all that was asked about.
        violation: Of the limits, as a search counts that of its constraints.
    """

    id: str
    genome: str
    digest: str
    objectives: Mapping[str, float]
    violation: float


@dataclass(frozen=True)
class Pick:
    """What can be had.

    Attributes:
        names: Objectives of the front, the one that counts first.
        limits: Objective name → largest admissible value.
        choice: The best within all limits; ``None``: nobody is.
        front: The choice between its neighbours on the front of all contenders by ``names``, best first.
        nearest: Where nobody is within the limits: who breaks them least, the nearest first.
        without: Limit → the best if all others held but this one did not; ``None``: nobody.
    """

    names: tuple[str, ...]
    limits: Mapping[str, float]
    choice: Contender | None
    front: tuple[Contender, ...]
    nearest: tuple[Contender, ...]
    without: Mapping[str, Contender | None]

    @property
    def best(self) -> str:
        """The objective that counts."""
        return self.names[0]

    @property
    def told(self) -> Contender | None:
        """The choice, or who comes nearest; ``None``: there is no contender."""
        return self.choice or next(iter(self.nearest), None)


def pick(contenders: Sequence[Contender], names: Sequence[str], limits: Mapping[str, float]) -> Pick:
    """The contender within limits that is best by the first of ``names``.

    Of equals the one that is best by the others, in their order, counts: it is on the front.

    Args:
        contenders: Their objectives are known.
        names: Objectives, those that have limits among them.
        limits: Objective name → largest admissible value.
    """

    def standing(contender: Contender) -> tuple[object, ...]:
        return *(contender.objectives[name] for name in names), contender.id

    def first(bounds: Mapping[str, float]) -> Contender | None:
        inside = (each for each in contenders if not breaches(each.objectives, bounds))
        return min(inside, key=standing, default=None)

    choice = first(limits)
    front: list[Contender] = []
    if choice is not None:
        points = [[contender.objectives[name] for name in names] for contender in contenders]
        front = sorted((contenders[index] for index in non_dominated(points)), key=standing)
        place = front.index(choice)
        front = front[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
    without = {
        name: first({other: limit for other, limit in limits.items() if other != name}) for name in limits
    }
    return Pick(tuple(names), limits, choice, tuple(front), nearest_of(contenders), without)


def contenders_of(
    candidates: Iterable[Candidate], names: Sequence[str], limits: Mapping[str, float], section: Objectives
) -> list[Contender]:
    """The trained ones among candidates.

    What is known from the spec is counted anew; whose spec has no finite value of it is left out.

    Args:
        candidates: Their objectives hold what needed a process.
        names: Objectives that are asked about.
        limits: Objective name → largest admissible value.
        section: The precision, lengths and settings that are asked about.
    """
    counted = [name for name in names if not objective_of(section, name).needs_process]
    spec = section.model_copy(update={"names": counted, "constraints": {}})
    asked = section.model_copy(update={"constraints": dict(limits)})
    found = []
    for candidate in candidates:
        values = dict(candidate.objectives)
        if counted:
            values |= measure(candidate.architecture, None, spec)[0]
        known = {name: value for name in names if (value := values.get(name)) is not None}
        if candidate.ok and len(known) == len(names):
            genome, digest = str(candidate.architecture.genome), candidate.architecture.digest
            found.append(Contender(candidate.name, genome, digest, known, violation(known, asked)))
    return found


def check_known(names: Iterable[str], run: str, stored: Params, wanted: Params, vocab_size: int) -> None:
    """Raises ``ConfigError`` if candidates must run to know an objective, and did not when they were made.

    Args:
        names: Objectives that are asked about.
        run: Name of the run.
        stored: Parameters that its candidates were measured with.
        wanted: Those that are asked about.
        vocab_size: Of the run's tokens.
    """
    section = stored.objectives
    for name in names:
        entry = objective_of(wanted.objectives, name)
        if not entry.needs_process:
            continue
        measured = tuple(dict.fromkeys((*section.selected, *section.constraints)))
        if name not in measured:
            others = ", ".join((*section.selected, name))
            raise ConfigError(
                "this run did not measure it, and it is not known from the spec",
                value=name,
                place=f"run {run}",
                fix=f"fork it, star resume {run} --as NAME --set 'objectives.names=[{others}]', or look at "
                f"single ones: star measure {run}:NAME",
            )
        probe = entry.probe
        if probe is None or section == wanted.objectives:
            continue
        if probe.settings(stored, vocab_size) != probe.settings(wanted, vocab_size):
            raise ConfigError(
                "this run measured it under other conditions",
                value=name,
                place="--set",
                fix=f"leave out what it depends on, or measure single ones: star measure {run}:NAME",
            )


def read_limits(texts: Iterable[str]) -> dict[str, float]:
    """Limits as they are written, ``NAME=VALUE`` each.

    Raises:
        ConfigError: One is malformed, is no finite number, is of no objective, or is there twice.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, equals, written = text.partition("=")
        name, place = name.strip(), f"--max {text}"
        try:
            value = float(written)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise ConfigError(
                "a limit reads NAME=VALUE, the value a number in the unit itself: seconds, bytes",
                value=text,
                place="--max",
                fix="e.g. decode_seconds_per_token=0.0005",
            )
        objective(name)
        if name in limits:
            raise ConfigError("a limit is stated once", value=name, place=place, fix="leave one out")
        limits[name] = value
    return limits
