"""Prefect's own database, where its server is started here: looked at before it is needed."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from star_core.errors import StarError
from star_core.storage.files import require_writable

_MIGRATIONS = "server/database/_migrations/versions/sqlite"
_REVISION = re.compile(r"^revision\b.*?[\"'](\w+)[\"']", re.MULTILINE)
_ASIDE = "move it aside and a new one is made: it holds no result, only what was scheduled and shown"


def check_database() -> None:
    """Opens the SQLite database that a server started here will use; one that is not there is fine.

    Raises:
        StarError: It is damaged, cannot be written, or was made by a newer Prefect.
    """
    path = database_file()
    if path is None:
        return
    require_writable(path.parent, "make it writable, or set PREFECT_HOME to a folder that is")
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=1, uri=True)) as database:
            found = _version(database)
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        if "locked" in str(error):  # a server is at work with it
            return
        raise StarError(
            f"Prefect's database cannot be used ({error})",
            place=str(path),
            fix=f"make it writable, free its disk, or {_ASIDE}",
        ) from error
    import prefect

    known = known_revisions()
    if found is not None and known and found not in known:
        raise StarError(
            f"Prefect's database was made by another version than {prefect.__version__}",
            value=found,
            place=str(path),
            fix=f"install that version, set PREFECT_HOME to another folder, or {_ASIDE}",
        )


def database_file() -> Path | None:
    """The SQLite file of the server that would be started here; ``None``: it uses none."""
    from prefect.settings import get_current_settings

    url = get_current_settings().server.database.connection_url
    scheme, _, rest = ("" if url is None else url.get_secret_value()).partition(":///")
    if not scheme.startswith("sqlite") or ":memory:" in rest:
        return None
    return Path(rest.partition("?")[0])


def known_revisions() -> set[str]:
    """Versions of the database that the installed Prefect can bring up to date."""
    import prefect

    return {
        found[1]
        for path in Path(prefect.__file__).parent.joinpath(_MIGRATIONS).glob("*.py")
        if (found := _REVISION.search(path.read_text(encoding="utf-8")))
    }


def _version(database: sqlite3.Connection) -> str | None:
    tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
    rows = database.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    return str(rows[0][0]) if rows else None
