"""Opens the cluster that a run asks for: Ray or Dask, joined or started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec

from star_core.config import Runtime, Training
from star_core.errors import ConfigError
from star_core.machine import default_workers, machine_fingerprint

from .engine import ENGINES, Cluster, host_of, require_answer


@contextmanager
def cluster_for(runtime: Runtime, training: Training) -> Iterator[Cluster]:
    """The cluster of ``runtime.runner``, joined or started; one that was started ends with the block.

    Raises:
        ConfigError: It cannot be joined or started, or has no worker.
    """
    slots = runtime.workers or default_workers(training.accelerator, training.threads)
    gpu = needs_gpu(training)
    if runtime.runner == "ray":
        from .ray_engine import ray_cluster

        opened: AbstractContextManager[Cluster] = ray_cluster(runtime.address, slots, training.threads, gpu)
    else:
        from .dask_engine import dask_cluster

        opened = dask_cluster(runtime.address, slots, gpu)
    with opened as cluster:
        if runtime.workers is None and not cluster.slots():
            raise ConfigError(
                "the cluster has no worker with room for a candidate "
                f"({training.threads} CPU threads{', a GPU' if gpu else ''})",
                value=runtime.address,
                place="runtime.address",
                fix="start workers first, or set runtime.workers if they come later",
            )
        yield cluster


def require_reachable(runtime: Runtime) -> None:
    """Finds out in seconds whether the runner is installed and something answers at its address.

    Raises:
        ConfigError: It is not, or nothing does.
    """
    address, (packages, example, _) = runtime.address, ENGINES[runtime.runner]
    for package in packages:
        if find_spec(package) is None:
            raise ConfigError(
                f"the package {package} is not installed",
                value=runtime.runner,
                place="runtime.runner",
                fix=f"pip install '.[{runtime.runner}]' in a clone of STAR",
            )
    if address is None or (runtime.runner, address) == ("ray", "auto"):
        return
    host = host_of(address)
    if host is None:
        raise ConfigError(
            "an address is host and port",
            value=address,
            place="runtime.address",
            fix=f"write it like {example}, or null for a cluster of this machine's cores",
        )
    require_answer(runtime.runner, address, host)


def needs_gpu(training: Training) -> bool:
    """Whether each candidate is to have a GPU."""
    return machine_fingerprint(training.accelerator)["device"] == "gpu"
