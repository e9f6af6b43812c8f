"""Where candidates are trained: processes of this machine, or the workers of a Ray or Dask cluster."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.task_runners import ThreadPoolTaskRunner

from star_core.config import Runtime
from star_core.errors import ConfigError

from ..run.session import Session
from ..server.outages import one_wait

SLOT_SECONDS = 60
"""How long the slot of a process that was killed stays taken: the least that Prefect allows."""
P = ParamSpec("P")
R = TypeVar("R")


def run_flow(session: Session, flow: Flow[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a flow with room for as many candidates as are trained at once."""
    cluster = session.cluster
    if session.params.runtime.on_cluster and cluster is None:
        raise RuntimeError("a run on a cluster stands inside an `at_work` block")
    runner: Any = cluster.runner() if cluster else ThreadPoolTaskRunner(max_workers=session.workers)
    with one_wait():
        return flow.with_options(task_runner=runner)(*args, **kwargs)


@contextmanager
def occupying(runtime: Runtime) -> Iterator[None]:
    """Holds a slot of the run's named concurrency limit, if it has one; waits until one is free.

    Raises:
        ConfigError: The server has no such limit.
    """
    name = runtime.concurrency_limit
    if name is None:
        yield
        return
    with ExitStack() as stack:
        # A server that is away when the slot is renewed ends no training.
        held = concurrency(
            name, strict=True, lease_duration=SLOT_SECONDS, raise_on_lease_renewal_failure=False
        )
        try:
            stack.enter_context(held)
        except ConcurrencySlotAcquisitionError as error:
            if error.__cause__ is not None:
                raise
            raise ConfigError(
                "the Prefect server has no such concurrency limit",
                value=name,
                place="runtime.concurrency_limit",
                fix=f"prefect gcl create {shlex.quote(name)} --limit N",
            ) from error
        yield
