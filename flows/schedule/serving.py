"""Who works on a deployment: this process, once or until it is stopped, or the workers of a pool."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from rich.console import Console

from star_core.errors import ConfigError

from .deployment import Deployment, describe

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

STOP_SECONDS = 20
"""What Prefect gets to shut down after SIGTERM."""


def run_here(wanted: Deployment) -> None:
    """Does in this process what the schedule would do; ends with exit code 1 if that fails."""
    from .flow import continue_run

    if not continue_run(**wanted.parameters, return_state=True).is_completed():
        raise SystemExit(1)


def serve(wanted: Deployment, url: str, console: Console) -> None:
    """Runs what is scheduled, or asked for, in processes of its own until this one is stopped."""
    from prefect.runner import Runner

    from .flow import continue_run

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
        console.print("Stopped. The schedule is paused until `star deploy` runs again.")


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

    from .flow import continue_run

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
        variables = {"working_dir": wanted.paths.root}
        options = {**wanted.options, "work_pool_name": pool, "job_variables": variables}
        key = asyncio.run(RunnerDeployment.from_flow(continue_run, **options).aapply())
    else:
        key = found.id
    describe(wanted, url, key, console)
    if not wanted.schedule:
        run_deployment(wanted.full_name, parameters=wanted.parameters, timeout=0)
