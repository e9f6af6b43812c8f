"""``star deploy``: a run that goes on by a schedule, served by this process or by the workers of a pool."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rich.console import Console

from flows.command_evolve import check_experiment
from flows.schedules import Schedule, schedule
from flows.server import PORT, answers, api_url, prefect_server
from flows.session import Where
from star_core.errors import ConfigError, StarError
from star_core.population.generation import check_run_name

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

FLOW = "continue"
"""Name of the flow that schedules run: a deployment's full name is ``continue/NAME``."""
STOP_SECONDS = 20
"""What Prefect gets to shut down after SIGTERM."""


@dataclass(frozen=True)
class Deployment:
    """What is registered with Prefect.

    Attributes:
        where: The run.
        name: Of the deployment.
        generations: By which the run goes on each time.
        schedule: When; ``None``: only when asked.
        pool: Of the workers that run it; ``None``: this process.
    """

    where: Where
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
        where = self.where
        return {
            "root": where.root,
            "run": where.run,
            "params": where.params,
            "generations": self.generations,
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
            "description": f"Goes on with run `{self.where.run}` of `{self.where.root}` by {self.step}.",
            "entrypoint_type": EntrypointType.MODULE_PATH,
        }


def deploy_command(
    where: Where,
    cron: str | None,
    timezone: str | None,
    generations: int,
    name: str | None,
    pool: str | None,
    once: bool,
) -> None:
    """Serves a schedule until it is stopped; hands it to a pool; or (``once``) does now what it would do.

    Raises:
        StarError: The schedule, the experiment, the name or the pool is wrong, or no server answers.
    """
    console = Console()
    if (cron is None) != once:
        raise ConfigError(
            "a run goes on by a schedule, or once now",
            value=cron,
            place="--cron",
            fix="give --cron, e.g. '0 2 * * *' for every night at two, or --once",
        )
    times = None if cron is None else schedule(cron, timezone)
    check_run_name(where.run)
    check_experiment(where)
    wanted = Deployment(where, _checked(name, where), generations, times, pool)
    if pool is None and once:
        run_here(wanted)
        return
    from flows.outage import explaining

    with explaining(), api(console, own=pool is None) as url:
        found = registered(wanted)
        if pool is None:
            serve(wanted, url, console)
        else:
            hand_over(wanted, found, pool, url, console)


def _checked(name: str | None, where: Where) -> str:
    if name is None:
        return f"{where.path().name}-{where.run}"
    if not name.strip() or any(letter in name for letter in "/%&<>") or not name.isprintable():
        raise ConfigError(
            "a deployment's name has no '/', '%', '&', '<' or '>'",
            value=name,
            place="--name",
            fix="leave it out: it is made of folder and run",
        )
    return name


@contextmanager
def api(console: Console, own: bool) -> Iterator[str]:
    """A Prefect server, its API's URL known to Prefect: the configured one, or one on this machine.

    Args:
        console: Told what is used.
        own: Whether one may be started here, for as long as the block runs.

    Raises:
        StarError: None answers.
    """
    from prefect.settings import get_current_settings

    configured = get_current_settings().api.url
    if configured is not None:
        if not answers(configured, seconds=10):
            raise StarError(
                "no Prefect server answers",
                value=configured,
                place="PREFECT_API_URL",
                fix="start it (docs/running.md)"
                + (", or unset PREFECT_API_URL and one is started here" if own else ""),
            )
        yield configured
    elif answers(api_url()):
        yield _use(api_url())
    elif own:
        console.print("Starting a Prefect server on this machine …", highlight=False)
        with prefect_server(os.environ, PORT) as environment:
            yield _use(environment["PREFECT_API_URL"])
    else:
        raise StarError(
            "workers need a Prefect server that stays when this command ends",
            place="PREFECT_API_URL",
            fix="run `prefect server start` in another terminal, then this command again",
        )


def _use(url: str) -> str:
    from prefect.context import refresh_global_settings_context

    os.environ["PREFECT_API_URL"] = url  # flow runs are other processes
    refresh_global_settings_context()
    return url


def registered(wanted: Deployment) -> DeploymentResponse | None:
    """The deployment of this name, if there is one.

    Raises:
        ConfigError: It is another run's.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(wanted.full_name)
        except ObjectNotFound:
            return None
    theirs = (found.parameters.get("root"), found.parameters.get("run"))
    if theirs != (wanted.where.root, wanted.where.run):
        raise ConfigError(
            f"this is the deployment of run {theirs[1]!r} of {theirs[0]}",
            value=wanted.name,
            place="--name",
            fix="choose another name",
        )
    return found


def run_here(wanted: Deployment) -> None:
    """Does in this process what the schedule would do; ends with exit code 1 if that fails."""
    from flows.deployments import continue_run

    if not continue_run(**wanted.parameters, return_state=True).is_completed():
        raise SystemExit(1)


def serve(wanted: Deployment, url: str, console: Console) -> None:
    """Runs what is scheduled, or asked for, in processes of its own until this one is stopped."""
    from prefect.runner import Runner

    from flows.deployments import continue_run

    class Serving(Runner):
        def handle_sigterm(self, *_: object) -> None:
            for run in multiprocessing.active_children():
                run.terminate()  # Prefect's own way does neither this nor pause the schedule
            # Prefect's shutdown has been seen to wait for ever after a run that had just ended.
            last_resort = threading.Timer(STOP_SECONDS, stop_hard, args=(key,))
            last_resort.daemon = True
            last_resort.start()
            signal.raise_signal(signal.SIGINT)

    runner = Serving(name=wanted.name, pause_on_shutdown=True)
    key = asyncio.run(runner.aadd_flow(continue_run, **wanted.options))
    describe(wanted, url, key, console)
    try:
        asyncio.run(runner.start())
    except KeyboardInterrupt:
        console.print("Stopped. The schedule is paused until `star deploy` runs again.", highlight=False)


def stop_hard(key: UUID) -> None:
    """Pauses the schedule and ends this process, whatever it waits for."""
    from prefect.client.orchestration import get_client

    with suppress(Exception), get_client(sync_client=True) as client:
        client.pause_deployment(key)
    os._exit(128 + signal.SIGTERM)


def hand_over(
    wanted: Deployment, found: DeploymentResponse | None, pool: str, url: str, console: Console
) -> None:
    """Registers a deployment for the workers of a pool, which is made if there is none; or asks for one run.

    Raises:
        ConfigError: The pool's workers do not run processes.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.deployments import run_deployment
    from prefect.deployments.runner import RunnerDeployment
    from prefect.exceptions import ObjectNotFound

    from flows.deployments import continue_run

    with get_client(sync_client=True) as client:
        try:
            kind = client.read_work_pool(pool).type
        except ObjectNotFound:
            kind = client.create_work_pool(WorkPoolCreate(name=pool, type="process")).type
    if kind != "process":
        raise ConfigError(
            f"a pool of type {kind!r}; a run goes on in a process of a machine that has the project folder",
            value=pool,
            place="--pool",
            fix="name a pool of type process, or a new one",
        )
    if wanted.schedule or found is None or found.work_pool_name != pool:
        variables = {"working_dir": wanted.where.root}
        options = {**wanted.options, "work_pool_name": pool, "job_variables": variables}
        key = asyncio.run(RunnerDeployment.from_flow(continue_run, **options).aapply())
    else:
        key = found.id
    describe(wanted, url, key, console)
    if not wanted.schedule:
        run_deployment(wanted.full_name, parameters=wanted.parameters, timeout=0)


def describe(wanted: Deployment, url: str, key: UUID, console: Console) -> None:
    """What was registered, when it runs next, where to look at it and how to stop it."""
    where, times = wanted.where, wanted.schedule
    rows = {"run": f"{where.run} of {where.root}, {wanted.step} more each time"}
    if times:
        rows["cron"] = f"{times.cron} ({times.timezone})"
        rows["next"] = ", then ".join(f"{time:%a %d %b %Y %H:%M}" for time in times.next)
        rows["now"] = f"prefect deployment run '{wanted.full_name}'"
    else:
        rows["now"] = "one run, for the first worker that is free"
    if wanted.pool:
        rows["work"] = f"prefect worker start --pool '{wanted.pool}'"
        rows["stop"] = f"prefect deployment delete '{wanted.full_name}'"
    else:
        rows["stop"] = "Ctrl-C; what is finished is kept, and the schedule pauses"
    rows["look"] = f"{url.removesuffix('/api')}/deployments/deployment/{key}"
    rows["api"] = f"PREFECT_API_URL={url} for Prefect's commands"
    console.print(f"Deployment {wanted.full_name}", style="bold", highlight=False)
    for name, value in rows.items():
        console.print(f"  {name:<6}{value}", highlight=False, soft_wrap=True)
