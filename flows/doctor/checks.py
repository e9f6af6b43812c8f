"""The checks, in the order of the table, and how they are made: all at once, none able to spoil the rest."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Iterator

from star_core.errors import StarError

from . import cluster, installed, machine, project, runs, security, server, storage
from .finding import Check, Finding, Project, problem, refused, shown_url

CHECKS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("Installed", (installed.python, installed.packages, installed.torch, installed.plug_ins)),
    ("Machine", (machine.cores, machine.memory, machine.disk)),
    (
        "Project",
        (project.parameters, project.folders, project.git, project.dvc, project.cache, project.remote),
    ),
    ("Storage", (storage.storage,)),
    ("Server", (server.server, server.deployments)),
    ("Workers", (cluster.cluster,)),
    ("Runs", (runs.runs,)),
    ("Security", (security.credentials, security.prefect_server, security.cluster_ports)),
)
"""Section → checks. A check takes a project and yields findings."""
SECONDS = 9.0
"""Seconds after which a check that has not answered is a finding itself."""


def examine(
    asked: Project, checks: tuple[tuple[str, tuple[Check, ...]], ...] = CHECKS, seconds: float = SECONDS
) -> Iterator[tuple[str, list[Finding]]]:
    """Sections and what their checks found, in order; never raises, and ends within ``seconds``."""
    until = time.monotonic() + seconds
    started = [(section, [_Examination(check, asked) for check in group]) for section, group in checks]
    for section, group in started:
        yield section, [finding for examination in group for finding in examination.findings(until)]


class _Examination:
    """A check in a thread of its own, which is left behind if it hangs."""

    def __init__(self, check: Check, asked: Project) -> None:
        self.name = check.__name__.replace("_", " ")
        self._check, self._asked = check, asked
        self._found: list[Finding] = []
        context = contextvars.copy_context()  # in which Prefect keeps its settings
        self._thread = threading.Thread(target=context.run, args=(self._run,), daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for finding in self._check(self._asked):
                self._found.append(finding)
        except StarError as error:
            self._found.append(refused(self.name, error))
        except Exception as error:
            said = shown_url(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
            self._found.append(problem(self.name, f"cannot be checked: {said}"))

    def findings(self, until: float) -> list[Finding]:
        """What the check found until ``until`` (monotonic seconds); not having ended is a finding too."""
        self._thread.join(max(0.0, until - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(problem(self.name, "no answer", "check the network, or what it names"))
        return found
