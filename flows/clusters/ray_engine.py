"""Candidates on the workers of a Ray cluster, through Prefect's own integration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from star_core.errors import ConfigError

from .. import DEFAULTS
from .engine import LOOPBACK, host_of, refused, require_answer, scratch

for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",  # no calls home
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}.items():
    os.environ.setdefault(_name, _value)

_STORE_BYTES = 80 << 20
"""Ray's object store on this machine, about the least it takes: tasks exchange a few kilobytes."""


class RayCluster:
    """The Ray cluster that this process is connected to.

    Args:
        threads: CPU threads of a candidate.
        gpu: Whether a candidate needs a GPU for itself.
    """

    def __init__(self, threads: int, gpu: bool) -> None:
        from ray import exceptions

        self.threads, self.gpu = threads, gpu
        self.lost: tuple[type[BaseException], ...] = (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.LocalRayletDiedError,
            exceptions.OutOfMemoryError,
            exceptions.ObjectLostError,
        )

    def runner(self) -> Any:
        """A runner that uses the connection there is."""
        from prefect_ray import RayTaskRunner

        return RayTaskRunner()

    def slots(self) -> int:
        """Candidates for which there are CPUs (and GPUs), on machines that are alive."""
        import ray

        nodes: list[dict[str, Any]] = ray.nodes()
        return sum(self._room(node["Resources"]) for node in nodes if node["Alive"])

    def submitting(self) -> AbstractContextManager[Any]:
        """Asks for CPUs and GPU, and leaves it to the flow to begin a lost candidate again."""
        from prefect_ray.context import remote_options

        # A worker stays, with its fork server, though its task had a GPU: no CUDA is loaded in it.
        options: AbstractContextManager[Any] = remote_options(
            num_cpus=self.threads, num_gpus=int(self.gpu), max_retries=0, max_calls=0
        )
        return options

    def _room(self, resources: dict[str, float]) -> int:
        room = int(resources.get("CPU", 0) // self.threads)
        return min(room, int(resources.get("GPU", 0))) if self.gpu else room


@contextmanager
def ray_cluster(address: str | None, slots: int, threads: int, gpu: bool) -> Iterator[RayCluster]:
    """Joins the cluster at ``address``, or starts one with ``slots`` places on this machine's loopback.

    Raises:
        ConfigError: It cannot be joined or started.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL", "namespace": "star"}
    with scratch("star-ray") as folder:
        if address is None:
            # Read once, when Ray is imported: its processes then listen on 127.0.0.1 only.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
            # Candidates have a limit of their own; a worker has nothing that could be freed.
            os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
            options |= {
                "num_cpus": slots * threads,
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_temp_dir": folder,
            }
        else:
            options |= {"runtime_env": {"env_vars": _environment()}}
            if "RAY_AUTH_MODE" not in os.environ and _has_token():
                os.environ["RAY_AUTH_MODE"] = "token"  # ray:// asks for no token by itself
        import ray

        try:
            if address is not None and host_of(address) in LOOPBACK and not address.startswith("ray://"):
                # Ray means this machine's own address, and asks there for minutes.
                require_answer("ray", address, ray.util.get_node_ip_address())
            ray.init(address or "local", **options)
        except ConfigError:
            raise
        except Exception as error:  # what goes wrong has as many types as Ray has parts
            raise refused("ray", address, error) from error
        try:
            yield RayCluster(threads, gpu)
        finally:
            ray.shutdown()


def _has_token() -> bool:
    named = any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or Path.home().joinpath(".ray", "auth_token").exists()


def _environment() -> dict[str, str]:
    """What workers on other machines need to know before they import anything; no credentials."""
    chosen = ("ATEN_CPU_CAPABILITY", "PREFECT_API_URL")
    return {**DEFAULTS, **{name: os.environ[name] for name in chosen if name in os.environ}}
