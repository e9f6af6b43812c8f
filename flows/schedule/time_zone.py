"""Time zones, however they are written, by the names that Prefect keeps."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zoneinfo import TZPATH, available_timezones

from star_core.errors import ConfigError

LOCALTIME = Path("/etc/localtime")
EXAMPLE = "e.g. Europe/Berlin, UTC or +02:00"
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", re.IGNORECASE)
_RULE = re.compile(r"(?:[A-Za-z]{3,}|<[+\-\w]+>)([+-]?)(\d{1,2})(?::?00)?")
"""A zone without summer time as POSIX writes it: a name, and the hours that are missing until UTC."""
_FOLDER = re.compile(r"^(?:.*/zoneinfo[^/]*/)?(?:posix/|right/)?")


def named_zone(written: str) -> str:
    """The IANA name of a time zone that people write: in any case, with spaces, or as hours from UTC.

    Raises:
        ConfigError: There is no such zone, or none that always has these minutes.
    """
    text = "_".join(written.split())
    if (name := _known().get(text.casefold())) is not None:
        return name
    offset = _OFFSET.fullmatch(text.replace("\u2212", "-"))
    if offset is None:
        raise ConfigError("no such time zone", value=written, place="--timezone", fix=_like(text))
    sign, hours, minutes = offset.groups()
    # The names of these zones count from the other side.
    name = _known().get(f"etc/gmt{'-' if sign == '+' else '+'}{int(hours)}")
    if name is None or int(minutes or 0):
        raise ConfigError(
            "no time zone is always as far from UTC",
            value=written,
            place="--timezone",
            fix=f"name one by its place, {EXAMPLE}",
        )
    return name


def local_zone() -> str:
    """The IANA name of this machine's time zone; ``UTC`` where it is set to none.

    Raises:
        ConfigError: It has a time zone whose name cannot be told.
    """
    told = os.environ.get("TZ")
    if told is not None:
        return _zone_of(told.removeprefix(":"), "TZ")
    if not LOCALTIME.exists():
        return "UTC"
    name = _zone_at(LOCALTIME)
    if name is None:
        raise ConfigError(
            "this machine's time zone has no name", place=str(LOCALTIME), fix=f"give --timezone, {EXAMPLE}"
        )
    return name


def _zone_of(told: str, place: str) -> str:
    """The zone that the C library takes from a name, the path of a file, or a rule such as ``CET-1CEST``."""
    path = Path(told)
    name = (_known().get(told.casefold()) or _zone_at(path)) if told else "UTC"
    fixed = _RULE.fullmatch(told)
    if name is None and fixed is not None:
        name = _known().get(f"etc/gmt{fixed[1] or '+'}{int(fixed[2])}")
    if name is None and "," in told:  # the rule by which a zone goes on for ever is what its file ends with
        name = _first(lambda content: content.endswith(f"\n{told}\n".encode()))
    if name is None:
        raise ConfigError("no such time zone", value=told, place=place, fix=f"give --timezone, {EXAMPLE}")
    return name


def _zone_at(path: Path) -> str | None:
    """The name of the zone that a file describes: by its path, else by what is in it."""
    for written in (path, path.resolve()):
        below = _FOLDER.sub("", str(written))
        if (name := _known().get(below.casefold())) is not None:
            return name
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return _first(lambda known: known == content)


def _first(is_wanted: Callable[[bytes], bool]) -> str | None:
    """The first name of a zone whose file is wanted."""
    for name in sorted(available_timezones()):
        for folder in TZPATH:
            with suppress(OSError):
                if is_wanted(Path(folder, name).read_bytes()):
                    return name
    return None


def _known() -> dict[str, str]:
    return {"z": "UTC"} | {name.casefold(): name for name in available_timezones()}


def _like(text: str) -> str:
    known = _known()
    cities = {name.rpartition("/")[2]: name for name in known}
    close = [cities[text.casefold()]] if text.casefold() in cities else []
    if len(text) > 3:  # no abbreviation
        close += difflib.get_close_matches(text.casefold(), known, n=1, cutoff=0.5)
    return f"did you mean {known[close[0]]!r}?" if close else EXAMPLE
