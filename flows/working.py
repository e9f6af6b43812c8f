"""How every command works on a run: alone, with candidate processes, drawn live, and tidied up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flows.display import display
from flows.session import Session, Where, exclusive, session
from star_core.errors import StarError


@contextmanager
def working(where: Where) -> Iterator[Session]:
    """Holds the run, starts what training needs, and ends it all however the block ends.

    Raises:
        StarError: Prefect's server cannot be reached or started; or whatever the block raises.
    """
    work = session(where)
    with exclusive(where):
        discard_unfinished(where)
        display.plan(0, work.workers)
        # Torch is loaded over there while Prefect is imported and its server started here.
        threading.Thread(target=work.pool.warm_up, daemon=True).start()
        try:
            with display.live():
                yield work
        except (RuntimeError, OSError) as error:
            if not _is_about_the_server(error):
                raise
            raise StarError(
                f"the Prefect server cannot be used ({' '.join(str(error).split())[:200]})",
                place="Prefect",
                fix="make the home folder (or PREFECT_HOME) writable, or set PREFECT_API_URL to a server "
                "that runs",
            ) from error
        finally:
            work.close()


def _is_about_the_server(error: Exception) -> bool:
    text = str(error)
    return any(
        words in text for words in ("ephemeral server", "Failed to reach API", "connection attempts failed")
    )


def discard_unfinished(where: Where) -> None:
    """Removes temporary files that a killed process left among what DVC watches."""
    folders = [where.data / name / where.run for name in ("populations", "baselines", "retrain", "reports")]
    for folder in (where.data, where.data / "tokens", *folders):
        for left in folder.glob(".*.tmp"):
            if left.is_file():
                left.unlink(missing_ok=True)
