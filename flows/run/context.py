"""How every command works on a run: alone, with candidate processes, drawn live, and tidied up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..clusters.open import cluster_for, require_reachable
from ..server.process import server_at_hand
from .display import display
from .locks import exclusive
from .paths import Where
from .session import Session, session


@contextmanager
def working(where: Where) -> Iterator[Session]:
    """Holds the run, starts what training needs, and ends it all however the block ends.

    Raises:
        StarError: Prefect's server cannot be reached or started; or whatever the block raises.
    """
    work = session(where)
    with exclusive(where):
        discard_unfinished(where)
        work.store.discard_unfinished()
        work.trainer.leases.discard_ended()
        display.plan(0, work.workers)
        work.note = display.note
        if not work.params.runtime.on_cluster:
            # Torch is loaded over there while Prefect is imported and its server started here.
            threading.Thread(target=work.trainer.pool.warm_up, daemon=True).start()
        from prefect import tags

        from ..server.outages import explaining

        try:
            with explaining(), served(work), display.live(), tags(socket.gethostname()):
                yield work
        finally:
            work.close()


@contextmanager
def served(work: Session) -> Iterator[None]:
    """The Prefect server, and the cluster of the run if it has one, while the block lasts.

    Raises:
        ConfigError: The cluster cannot be joined or started.
        StarError: The server does not start.
    """
    runtime, training = work.params.runtime, work.params.training
    if not runtime.on_cluster:
        with server_at_hand():
            yield
        return
    require_reachable(runtime)
    what = f"joining the one at {runtime.address}" if runtime.address else "starting one on this machine"
    work.note(f"{runtime.runner} cluster: {what}")
    with server_at_hand(runtime.address), cluster_for(runtime, training) as cluster:
        work.cluster = cluster
        display.plan(0, work.workers)
        try:
            yield
        finally:
            work.cluster = None


def discard_unfinished(where: Where) -> None:
    """Removes temporary files that a killed process left among what DVC watches."""
    folders = [where.data / name / where.run for name in ("populations", "baselines", "retrain", "reports")]
    for folder in (where.data, where.data / "tokens", *folders):
        for left in folder.glob(".*.tmp"):
            if left.is_file():
                left.unlink(missing_ok=True)
