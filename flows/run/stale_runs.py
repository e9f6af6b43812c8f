"""Flow runs whose process was killed: Prefect shows them as running for ever unless somebody ends them."""

from __future__ import annotations

import socket
from typing import Any

from prefect import State
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from ..server.outages import dispensable
from .session import Session

WORKING = ("evolve", "generation", "comparison")
"""Flows that run only while their process holds the run's lock."""


def end_stale_runs(session: Session) -> None:
    """Ends flow runs of this run and machine (a tag) that cannot be alive, since the caller holds its lock.

    The flow runs of a deployment that they were part of are ended too.
    """
    running = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
        tags=FlowRunFilterTags(all_=[socket.gethostname()]),
    )
    state: State[Any] = Crashed(message="its process was killed; what it had finished is kept")
    ended = set[str]()
    with dispensable(), get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(WORKING))), flow_run_filter=running
        )
        for prefect_run in found:
            if str(prefect_run.id) == flow_run.id or not _is_of(prefect_run, session):
                continue
            client.set_flow_run_state(prefect_run.id, state, force=True)
            ended.add(prefect_run.name)
            if prefect_run.name.startswith("evolve ") and prefect_run.parent_task_run_id:
                above = client.read_task_run(prefect_run.parent_task_run_id).flow_run_id
                if above and str(above) != flow_run.parent_flow_run_id:
                    client.set_flow_run_state(above, state, force=True)
    if ended:
        names = " and ".join(sorted(ended))
        session.display.note(f"{names}: killed before the end; what was finished is kept")


def _is_of(prefect_run: FlowRun, session: Session) -> bool:
    recorded, paths = prefect_run.parameters.get("session"), session.paths  # see Session.__iter__
    return isinstance(recorded, dict) and (recorded["root"], recorded["run"]) == (paths.root, paths.run)
