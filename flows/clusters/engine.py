"""What a cluster of workers is to a run, and what its engines (Ray, Dask) have in common."""

from __future__ import annotations

import fcntl
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from star_core.errors import ConfigError, StarError

CONNECT_SECONDS = 5
ENGINES = {
    "ray": (("ray", "prefect_ray"), "ray://host:10001", "ray start --head"),
    "dask": (("distributed", "prefect_dask"), "tcp://host:8786", "dask scheduler"),
}
"""Runner → packages, an address, the command that starts one."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?P<host>[\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d{1,5})")


class Cluster(Protocol):
    """Workers that candidates are handed to, one for each slot.

    Attributes:
        lost: What is raised for a candidate whose worker has died.
    """

    lost: tuple[type[BaseException], ...]

    def runner(self) -> Any:
        """Prefect's task runner on it, for one flow."""

    def slots(self) -> int:
        """Candidates that it has room for, as it stands now."""

    def submitting(self) -> AbstractContextManager[Any]:
        """Around each submission: what a candidate needs of a worker."""


class Watch:
    """Notices that a cluster has no workers any more.

    Args:
        cluster: The cluster.
        patience: Seconds to wait for others.
        note: Told, in one line, what is being waited for.
    """

    def __init__(self, cluster: Cluster, patience: float, note: Callable[[str], None]) -> None:
        self._cluster, self._patience, self._note = cluster, patience, note
        self._since: float | None = None

    def look(self) -> None:
        """Raises ``StarError`` when there have been no workers for too long."""
        if self._cluster.slots():
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()
            self._note(f"the cluster has no workers left; waiting up to {self._patience:g} s for others")
        elif time.monotonic() - self._since > self._patience:
            raise StarError(
                f"the cluster has had no workers for {self._patience:g} s (runtime.patience_seconds)",
                place="training on the cluster",
                fix="start workers, then run the same command again; what was trained is kept",
            )


@contextmanager
def scratch(name: str) -> Iterator[str]:
    """A folder for the engine's own files while the block lasts; what killed runs left is removed as well.

    Its path is short: the sockets that Ray makes in it allow no more than 107 characters.
    """
    for left in Path("/tmp").glob(f"{name}-*"):
        with suppress(OSError), (left / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its owner, if any, holds it
            shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=f"{name}-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        Path(folder, "lock").open("w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def host_of(address: str | None) -> str | None:
    """The host in an address; ``None`` where there is none: this machine."""
    found = _ADDRESS.fullmatch(address or "")
    return found["host"].strip("[]") if found else None


def refused(runner: str, address: str | None, error: BaseException) -> ConfigError:
    """A cluster that cannot be joined, or started."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    rule = "cannot be started" if address is None else "cannot be joined"
    return ConfigError(
        f"a {runner} cluster {rule} ({reason})",
        value=address,
        place="runtime.address" if address else "runtime.runner",
        fix="install the same versions of Python, star-open and its extra on all machines"
        if address
        else "runner: local needs no cluster",
    )


def require_answer(runner: str, address: str, host: str) -> None:
    """Raises ``ConfigError`` if nothing listens at the address's port of ``host``."""
    try:
        socket.create_connection((host, int(address.rpartition(":")[2])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"no {runner} cluster answers at {host} ({error})",
            value=address,
            place="runtime.address",
            fix=f"start one (`{ENGINES[runner][2]}`) or open its port; null starts one on this machine for "
            "the run",
        ) from error
