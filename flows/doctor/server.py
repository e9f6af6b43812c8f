"""Prefect's server and what is scheduled there for this project."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import prefect
from httpx import HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType, WorkerStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import get_current_settings

from star_core.errors import StarError

from ..schedule.deployment import FLOW
from ..server.database import check_database
from ..server.outages import REFUSED
from ..server.process import answers, api_url
from .finding import Finding, Project, ok, problem, refused, shown_url, warning

SECONDS = 4.0
"""Seconds to wait for an answer."""
HTTP: dict[str, Any] = {"timeout": SECONDS}
SUBJECT = "Prefect server"


def server(project: Project) -> Iterator[Finding]:
    """The server that commands use: whether it answers, how fast, and of which version."""
    url = get_current_settings().api.url
    if url is None:
        running = f"; one runs at {api_url()}" if answers(api_url()) else ""
        try:
            check_database()
        except StarError as error:
            yield refused(SUBJECT, error)
            return
        yield ok(SUBJECT, f"embedded, each command starts one (PREFECT_API_URL is not set{running})")
        return
    shown, began = shown_url(url), time.monotonic()
    if not answers(url, SECONDS):
        yield problem(
            SUBJECT, f"{shown} does not answer", "start it (docs/running.md), or unset PREFECT_API_URL"
        )
        return
    latency = f"{(time.monotonic() - began) * 1000:.0f} ms"
    try:
        with client() as talk:
            version = talk.api_version()
    except HTTPStatusError as error:
        if error.response.status_code not in REFUSED:
            raise
        fix = "set PREFECT_API_AUTH_STRING to its user:password"
        yield problem(SUBJECT, f"{shown} asks for a password, or refuses the one it is given", fix)
        return
    text = f"{shown}, version {version}, {latency}"
    if version.split(".")[:2] == prefect.__version__.split(".")[:2]:
        yield ok(SUBJECT, text)
    else:
        yield warning(SUBJECT, f"{text}; here is {prefect.__version__}", "install the same version on both")


def deployments(project: Project) -> Iterator[Finding]:
    """What goes on by a schedule, when next, and whether anybody would run it."""
    url = get_current_settings().api.url
    if not answers(url or api_url(), SECONDS):
        return  # ``server`` says so, if one was wanted
    try:
        yield from _deployments(project)
    except HTTPStatusError as error:
        if error.response.status_code not in REFUSED:
            raise


def _deployments(project: Project) -> Iterator[Finding]:
    with client() as talk:
        found = talk.read_deployments(flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])))
        ours = [deployment for deployment in found if deployment.parameters.get("root") == str(project.root)]
        if project.only is not None:
            ours = [deployment for deployment in ours if deployment.parameters.get("run") == project.only]
        if not ours:
            yield ok("schedule", "none (star deploy makes one)")
        for deployment in ours:
            yield _deployment(talk, deployment)


def _deployment(talk: SyncPrefectClient, deployment: DeploymentResponse) -> Finding:
    subject = "schedule"
    active = [schedule.schedule for schedule in deployment.schedules if schedule.active]
    crons = [times for times in active if isinstance(times, CronSchedule)]
    cron = ", ".join(f"{times.cron} ({times.timezone or 'UTC'})" for times in crons) or "not by cron"
    text = f"{FLOW}/{deployment.name}, run {deployment.parameters.get('run')}"
    if not active:
        return ok(subject, f"{text}: runs when asked")
    if deployment.paused:
        return ok(subject, f"{text}, {cron}: paused, since nothing serves it")
    scheduled = talk.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    if not scheduled:
        return problem(
            subject,
            f"{text}, {cron}: the server has made no scheduled runs",
            "if that stays so for a minute: pip install 'sqlalchemy>=2.0,<2.1' where the server runs, and "
            "leave its scheduler on",
        )
    text += f", {cron}: next {_local(scheduled[0].expected_start_time)}"
    if deployment.work_pool_name:
        workers = talk.read_workers_for_work_pool(deployment.work_pool_name)
        if not any(worker.status == WorkerStatus.ONLINE for worker in workers):
            fix = f"prefect worker start --pool {shlex.quote(deployment.work_pool_name)}"
            return warning(subject, f"{text}, but no worker of pool {deployment.work_pool_name!r} is up", fix)
        return ok(subject, f"{text}, by pool {deployment.work_pool_name!r}")
    if deployment.status is None or deployment.status.value != "READY":
        return warning(subject, f"{text}, but nothing serves it", "star deploy, or prefect deployment delete")
    return ok(subject, f"{text}, served")


def client() -> SyncPrefectClient:
    """A client of the configured server, else of the one at Prefect's own port."""
    if get_current_settings().api.url is not None:
        return get_client(sync_client=True, httpx_settings=HTTP)
    return SyncPrefectClient(api_url(), httpx_settings=HTTP)


def _local(time: datetime | None) -> str:
    return f"{time.astimezone():%a %d %b %H:%M}" if time else "?"
