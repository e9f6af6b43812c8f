"""Where faults are injected: an undisturbed run to compare with, and what each kind of fault came to."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.flows.projects import Project

Scenario = Callable[["Arena"], "Outcome"]
SCENARIOS: dict[str, Scenario] = {}
"""Name → scenario, in the order in which their files are imported."""


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    """Registers what injects one kind of fault."""

    def register(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return register


@dataclass
class Outcome:
    """How a scenario went.

    Attributes:
        struck: Faults by what they hit.
        runs: Runs that were disturbed and brought to their end.
        identical: Those of them that ended with the bytes of an undisturbed one.
        retrained: Finished candidates that were trained again.
        left: What was left behind: temporary files, leases, states of trainings, processes.
        recovery: Seconds from a restart, or from the end of a fault, to the next finished candidate (or the
            end of the command).
        problems: Everything else that is not as it should be, a line each.
        skipped: Why it could not be tried here, if so.
    """

    struck: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    identical: int = 0
    retrained: int = 0
    left: int = 0
    recovery: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def injected(self) -> int:
        """Faults in all."""
        return self.struck.total()

    @property
    def survived(self) -> bool:
        """Whether faults did strike, and all is as it should be."""
        whole = self.runs > 0 and self.identical == self.runs
        return whole and self.injected > 0 and not (self.retrained or self.left or self.problems)


class Arena:
    """Where scenarios take place.

    Args:
        folder: An empty folder.
        environment: Of all commands; names a Prefect server.
        seed: Of the instants at which faults strike.
        kills: How often the flow is killed.

    Attributes:
        undisturbed: A run that nothing happened to.
        alone: The environment without a Prefect server: a command starts its own.
    """

    def __init__(self, folder: Path, environment: dict[str, str], seed: int, kills: int) -> None:
        self.folder, self.environment, self.kills = folder, environment, kills
        self.alone = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
        self.random = random.Random(seed)
        self.undisturbed = Project.create(folder / "undisturbed", environment)
        self.undisturbed.run("star", "evolve")
