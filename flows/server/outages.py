"""When the Prefect server is away: how long a run waits for it, and what it can do without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from httpx import HTTPStatusError, TransportError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

from star_core.errors import StarError
from star_core.storage.failures import redact

_NO_SERVER = (
    "run the same command again; if that does not help, make the home folder (or PREFECT_HOME) writable, "
    "or set PREFECT_API_URL to a server that runs"
)

REFUSED = (401, 403)
"""What a server answers who is not given its password."""


def is_outage(error: BaseException) -> bool:
    """Whether an error says that there is no server, that it cannot do its work, or does not let us in."""
    if isinstance(error, HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in REFUSED
    text = str(error)
    known = ("ephemeral server", "Failed to reach API", "connection attempts failed")
    return isinstance(error, TransportError) or any(words in text for words in known)


@contextmanager
def explaining() -> Iterator[None]:
    """Turns what Prefect says of a server that is away into one message.

    Raises:
        StarError: That message; other errors as they are.
        KeyboardInterrupt: It was while Ctrl-C was obeyed that the server could not be told.
    """
    try:
        yield
    except StarError:
        raise
    except Exception as error:
        if not is_outage(error):
            raise
        if _was_interrupted(error):
            raise KeyboardInterrupt from None
        url = get_current_settings().api.url
        fix = "start it again and run the same command" if url else _NO_SERVER
        if isinstance(error, HTTPStatusError) and error.response.status_code in REFUSED:
            fix = "set PREFECT_API_AUTH_STRING to its user:password"
        raise StarError(
            f"the Prefect server cannot be used ({' '.join(redact(str(error)).split())[:200]}); "
            "what was finished is kept",
            value=redact(url) if url else None,
            place="Prefect",
            fix=fix,
        ) from error


def _was_interrupted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def wait_no_more() -> None:
    """Has requests of this process fail at once from now on."""
    get_current_settings().client.max_retries = 0


@contextmanager
def one_wait() -> Iterator[None]:
    """Once a request in here has failed for good, later ones fail at once.

    Prefect tries again for half a minute (``PREFECT_CLIENT_MAX_RETRIES``), in which a server that is
    started again is back, and would do so for each flow whose failure it reports.
    """
    try:
        yield
    except Exception as error:
        if is_outage(error):
            wait_no_more()
        raise


@contextmanager
def dispensable() -> Iterator[None]:
    """Requests that a run does without if they fail; they are tried once."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), suppress(TransportError, HTTPStatusError):
        yield
