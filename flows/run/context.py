"""How every command works on a run: alone, with candidate processes, drawn live, and tidied up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..clusters.open import cluster_for, require_reachable
from ..server.process import server_at_hand
from .locks import exclusive
from .paths import RunPaths
from .requirements import require_all
from .session import Session


@contextmanager
def at_work(session: Session) -> Iterator[None]:
    """Holds the run, starts what training needs, and ends it all however the block ends.

    Raises:
        StarError: Something that the run needs is not there, which is said before anything is started; or
            whatever the block raises.
    """
    display = session.display
    require_all(session)
    with exclusive(session.paths):
        discard_unfinished(session.paths)
        session.store.discard_unfinished()
        session.trainer.leases.discard_ended()
        display.plan(0, session.workers)
        if not session.params.runtime.on_cluster:
            # Torch is loaded over there while Prefect is imported and its server started here.
            threading.Thread(target=session.trainer.pool.warm_up, daemon=True).start()
        try:
            with display.live():
                display.starting("Prefect and the candidate processes")
                from prefect import tags

                from ..server.outages import explaining

                with explaining(), served(session), tags(socket.gethostname()):
                    display.starting("the flow")
                    yield
        finally:
            session.close()


@contextmanager
def served(session: Session) -> Iterator[None]:
    """The Prefect server, and the cluster of the run if it has one, while the block lasts.

    Raises:
        ConfigError: The cluster cannot be joined or started.
        StarError: The server does not start.
    """
    runtime, training = session.params.runtime, session.params.training
    session.display.starting("the Prefect server")
    if not runtime.on_cluster:
        with server_at_hand():
            yield
        return
    require_reachable(runtime)
    what = f"joining the one at {runtime.address}" if runtime.address else "starting one on this machine"
    session.display.note(f"{runtime.runner} cluster: {what}")
    with (
        server_at_hand(runtime.address),
        cluster_for(runtime, training) as cluster,
        session.on(cluster),
    ):
        session.display.plan(0, session.workers)
        yield


def discard_unfinished(paths: RunPaths) -> None:
    """Removes temporary files that a killed process left among what DVC watches."""
    folders = [paths.data / name / paths.run for name in ("populations", "baselines", "retrain", "reports")]
    for folder in (paths.data, paths.data / "tokens", *folders):
        for left in folder.glob(".*.tmp"):
            if left.is_file():
                left.unlink(missing_ok=True)
