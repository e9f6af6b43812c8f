"""What a run needs of the machine, tried before the first training; ``star doctor`` tries the same."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from star_core.errors import ConfigError, StarError
from star_core.population.comparison import comparison_path
from star_core.storage.failures import redact
from star_core.storage.files import require_writable
from star_core.storage.patience import Patience
from star_core.storage.trial import try_storage
from star_core.units import plural

from ..server.database import check_database
from ..server.process import answers
from .paths import RunPaths
from .session import Session

FILE_MIB = 64
"""Size that files may have at least: Prefect's database, the corpus and weights are files of some MiB."""
SERVER_SECONDS = 10.0


def require_all(session: Session) -> None:
    """Tries folders, storage and Prefect, once in each session.

    Raises:
        StarError: The run could not keep what it trains, or Prefect could not run it.
    """
    if session.is_tried:
        return
    check_folders(session.paths)
    runtime = session.trainer.runtime
    patiently = Patience(runtime.patience_seconds, session.display.note)
    patiently(lambda: try_storage(runtime.storage, runtime.endpoint))
    check_server()
    session.is_tried = True


def check_folders(paths: RunPaths) -> None:
    """Tries to write where a run writes.

    Raises:
        StarError: A folder cannot be written, or files cannot be large enough.
    """
    try:
        str(paths.path().absolute()).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            "Prefect and DVC keep paths as text, and the project folder's is none in UTF-8",
            value=str(paths.path().absolute()),
            place="the project folder",
            fix="rename it",
        ) from None
    for folder in folders(paths):
        require_writable(folder)
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise ConfigError(
            "no folder for temporary files can be written to", place="TMPDIR", fix="export TMPDIR=FOLDER"
        ) from error
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and limit < FILE_MIB << 20:
        raise ConfigError(
            f"no file of this process may be larger, and {FILE_MIB} MiB are needed",
            value=plural(limit, "byte"),
            place="ulimit -f",
            fix="ulimit -f unlimited, in the shell that starts star",
        )


def folders(paths: RunPaths) -> list[Path]:
    """The folders that a run writes to."""
    purposes = ("baselines", "retrain")
    compared = [comparison_path(paths.run, purpose, paths.data).parent for purpose in purposes]
    return [
        paths.path(),
        paths.path(".star", "locks"),
        paths.states,
        paths.data,
        paths.tokens.parent,
        paths.generation(0).parent,
        *compared,
        paths.reports,
    ]


def check_server() -> None:
    """Finds out whether Prefect can run flows: by the server that is named, or by one started here.

    Raises:
        StarError: It does not answer; or the database of the one started here cannot be used.
    """
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if url is None:
        check_database()
    elif not answers(url, SERVER_SECONDS):
        raise StarError(
            "the Prefect server cannot be used: nothing answers",
            value=redact(url),
            place="PREFECT_API_URL",
            fix="start it (docs/running.md), or unset PREFECT_API_URL and one is started here",
        )
