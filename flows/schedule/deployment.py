"""A deployment: what is registered with Prefect, and what people are told of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rich.console import Console

from star_core.analysis.terminal.output import printable
from star_core.errors import ConfigError

from ..run.paths import RunPaths
from .cron import Schedule

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

FLOW = "continue"
"""Name of the flow that schedules run: a deployment's full name is ``continue/NAME``."""


@dataclass(frozen=True)
class Deployment:
    """What is registered with Prefect.

    Attributes:
        paths: The run.
        name: Of the deployment.
        generations: By which the run goes on each time.
        schedule: When; ``None``: only when asked.
        pool: Of the workers that run it; ``None``: this process.
    """

    paths: RunPaths
    name: str
    generations: int
    schedule: Schedule | None
    pool: str | None

    @property
    def full_name(self) -> str:
        """As Prefect's commands want it."""
        return f"{FLOW}/{self.name}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the flow."""
        paths = self.paths
        return {
            "root": paths.root,
            "run": paths.run,
            "params": paths.params_file,
            "generations": self.generations,
            **({"changes": list(paths.changes)} if paths.changes else {}),
        }

    @property
    def step(self) -> str:
        """By how much the run goes on."""
        return f"{self.generations} generation{'s' if self.generations > 1 else ''}"

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of Prefect's, for both ways of registering.

        Prefect's concurrency limit is not among them: the slot of a run that was killed stays taken when
        the server ends as well, and then every later run is cancelled. The lock of a run is enough.
        """
        from prefect.schedules import Cron
        from prefect.types.entrypoint import EntrypointType

        times = self.schedule
        return {
            "name": self.name,
            "schedules": [Cron(times.cron, timezone=times.timezone)] if times else None,
            "paused": False if times else None,  # stopping paused it
            "parameters": self.parameters,
            "description": f"Goes on with run `{self.paths.run}` of `{self.paths.root}` by {self.step}.",
            "entrypoint_type": EntrypointType.MODULE_PATH,
        }


def registered(wanted: Deployment) -> DeploymentResponse | None:
    """The deployment of this name, if there is one.

    Raises:
        ConfigError: A deployment of this name belongs to another run.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(wanted.full_name)
        except ObjectNotFound:
            return None
    theirs = (found.parameters.get("root"), found.parameters.get("run"))
    if theirs != (wanted.paths.root, wanted.paths.run):
        raise ConfigError(
            f"this is the deployment of run {theirs[1]!r} of {theirs[0]}",
            value=wanted.name,
            place="--name",
            fix="choose another name",
        )
    return found


def describe(wanted: Deployment, url: str, key: UUID, console: Console) -> None:
    """What was registered, when it runs next, where to look at it and how to stop it."""
    paths, times = wanted.paths, wanted.schedule
    rows = {"run": f"{paths.run} of {paths.root}, {wanted.step} more each time"}
    if times:
        rows["cron"] = f"{times.cron} ({times.timezone})"
        rows["next"] = ", then ".join(f"{time:%a %d %b %Y %H:%M}" for time in times.next)
        rows["now"] = f"prefect deployment run {shlex.quote(wanted.full_name)}"
    else:
        rows["now"] = "one run, for the first worker that is free"
    if wanted.pool:
        rows["work"] = f"prefect worker start --pool {shlex.quote(wanted.pool)}"
        rows["stop"] = f"prefect deployment delete {shlex.quote(wanted.full_name)}"
    else:
        rows["stop"] = "Ctrl-C; what is finished is kept, and the schedule pauses"
    rows["look"] = f"{url.removesuffix('/api')}/deployments/deployment/{key}"
    rows["api"] = f"PREFECT_API_URL={url} for Prefect's commands"
    console.print(printable(f"Deployment {wanted.full_name}"), style="bold")
    for name, value in rows.items():
        console.print(printable(f"  {name:<6}{value}"), soft_wrap=True)
