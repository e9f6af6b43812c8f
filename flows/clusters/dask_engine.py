"""Candidates on the workers of a Dask cluster, through Prefect's own integration."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker
from prefect_dask.task_runners import DaskTaskRunner

from star_core.errors import ConfigError

from .engine import CONNECT_SECONDS, refused, scratch


class DaskCluster:
    """The Dask cluster that this process is connected to.

    Args:
        client: The connection.
        address: Of its scheduler.
    """

    def __init__(self, client: Client, address: str) -> None:
        self._client, self._address = client, address
        self.lost: tuple[type[BaseException], ...] = (KilledWorker,)

    def runner(self) -> Any:
        """A runner with a connection of its own."""
        return DaskTaskRunner(address=self._address, client_kwargs={"timeout": CONNECT_SECONDS})

    def slots(self) -> int:
        """Threads of its workers: each trains a candidate."""
        return sum(self._client.nthreads().values())

    def submitting(self) -> AbstractContextManager[Any]:
        """Any worker will do."""
        return nullcontext()


@contextmanager
def dask_cluster(address: str | None, slots: int, gpu: bool) -> Iterator[DaskCluster]:
    """Joins the cluster at ``address``, or starts one with ``slots`` places on this machine's loopback.

    Raises:
        ConfigError: It cannot be joined or started.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is worth telling is told by the flow
    with ExitStack() as stack:
        try:
            if address is None:
                address = stack.enter_context(_local(slots, gpu)).scheduler_address
            client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
            require_package(client)
        except ConfigError:
            raise
        except Exception as error:
            raise refused("dask", address, error) from error
        yield DaskCluster(client, address)


def require_package(client: Client) -> None:
    """Raises ``ConfigError`` if a worker has not this version: it would not say so by itself."""

    def version() -> str:  # travels by value, so that any worker can read it
        import importlib.metadata

        try:
            return importlib.metadata.version("star-open")
        except importlib.metadata.PackageNotFoundError:
            return "none"

    here = version()
    for worker, there in client.run(version).items():
        if there != here:
            raise ConfigError(
                f"all workers have star-open {here}",
                value=there,
                place=f"worker {worker}",
                fix="install the same version on all machines and start the workers again",
            )


@contextmanager
def _local(slots: int, gpu: bool) -> Iterator[LocalCluster]:
    processes = 1 if gpu else slots  # the threads of one process share the machine's GPUs out among them
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # a lost candidate is begun again by the flow
        "distributed.logging": {"distributed": "critical"},
    }
    with (
        scratch("star-dask") as folder,
        dask.config.set(settings),
        LocalCluster(
            n_workers=processes,
            threads_per_worker=slots // processes,
            host="127.0.0.1",
            dashboard_address=None,
            worker_dashboard_address=None,
            memory_limit=0,  # candidates have a limit of their own
            local_directory=folder,
            silence_logs=logging.CRITICAL,
            preload=["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],  # Ctrl-C is the flow's
        ) as cluster,
    ):
        yield cluster
