"""Where faults are injected: an undisturbed run to compare with, disturbed projects, and how each went."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.flows.projects import Project

COMPARED = ("data/baselines/main/baselines.json", "data/ledger.yaml", "dvc.lock")


@dataclass
class Outcome:
    """How a scenario went.

    Attributes:
        injected: Faults.
        retrained: Finished candidates that were trained again.
        identical: Whether the run ended with the bytes of an undisturbed one.
        left: Temporary files left behind.
        recovery: Seconds from a restart to the next finished candidate or the end, one per restart.
        said: The last thing a disturbed command printed.
    """

    injected: int = 0
    retrained: int = 0
    identical: bool = False
    left: int = 0
    recovery: list[float] = field(default_factory=list)
    said: str = ""

    @property
    def survived(self) -> bool:
        """Whether all is as it should be."""
        return self.identical and not self.retrained and not self.left


class Arena:
    """Where scenarios take place: an undisturbed run to compare with, and a Prefect server for all.

    Args:
        folder: An empty folder.
        seed: Of the instants at which faults strike.
    """

    def __init__(self, folder: Path, environment: dict[str, str], seed: int, kills: int) -> None:
        self.folder, self.environment, self.kills = folder, environment, kills
        self.random = random.Random(seed)
        self.undisturbed = Project.create(folder / "undisturbed", environment)
        self.undisturbed.run("star", "evolve")

    def project(self, name: str, environment: dict[str, str] | None = None, **sections: object) -> Project:
        """A fresh project with the same parameters; ``runtime`` may differ, it changes no result."""
        return Project.create(self.folder / name, environment or self.environment, **sections)

    def finish(self, project: Project, outcome: Outcome, seen: dict[str, bytes]) -> Outcome:
        """Runs the project to its end and compares."""
        began = time.monotonic()
        project.run("star", "evolve")
        outcome.recovery.append(time.monotonic() - began)
        return self.compare(project, outcome, seen)

    def compare(self, project: Project, outcome: Outcome, seen: dict[str, bytes]) -> Outcome:
        """Compares a finished project with the undisturbed one.

        Args:
            project: It.
            outcome: What is known so far.
            seen: Evaluations stored before the last fault: they hold the time they were made.
        """
        now = project.evaluations()
        outcome.retrained += sum(now.get(name) != content for name, content in seen.items())
        outcome.identical = project.generations() == self.undisturbed.generations() and all(
            (project.folder / name).read_bytes() == (self.undisturbed.folder / name).read_bytes()
            for name in COMPARED
        )
        outcome.left = sum(1 for _ in project.folder.glob("data/**/.*.tmp"))
        return outcome


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Waits until something is so, or the process has ended."""
    until = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


def kill(pid: int) -> None:
    """``kill -9``."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
