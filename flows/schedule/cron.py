"""When a schedule runs: cron expressions and time zones, checked before anything is started."""

from __future__ import annotations

import asyncio
import difflib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

from star_core.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """A cron expression in a time zone.

    Attributes:
        cron: Minute, hour, day, month, weekday.
        timezone: IANA name of the zone it is meant in.
        next: The next two times.
    """

    cron: str
    timezone: str
    next: tuple[datetime, ...]


def schedule(cron: str, timezone: str | None) -> Schedule:
    """A schedule; ``timezone`` is this machine's by default.

    Raises:
        ConfigError: No cron expression, one that never comes, or no such time zone.
    """
    from prefect.server.schemas.schedules import CronSchedule

    zone = timezone or local_zone()
    if zone not in available_timezones():
        close = difflib.get_close_matches(zone, available_timezones(), n=1, cutoff=0.5)
        raise ConfigError(
            "no such time zone",
            value=zone,
            place="--timezone",
            fix=f"did you mean {close[0]!r}?" if close else "e.g. Europe/Berlin or UTC",
        )
    fix = "give minute, hour, day, month and weekday, e.g. '0 2 * * *' for every night at two"
    if not cron.startswith("@") and len(cron.split()) != 5:
        raise ConfigError("a cron expression has five fields", value=cron, place="--cron", fix=fix)
    try:
        times = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(2))
    except ValueError as error:
        never = "BadDate" in type(error).__name__
        rule = "this day never comes" if never else "not a cron expression"
        raise ConfigError(rule, value=cron, place="--cron", fix=fix) from None
    return Schedule(cron, zone, tuple(times))


def local_zone() -> str:
    """The IANA name of this machine's time zone; ``UTC`` where it has none."""
    known = available_timezones()
    linked = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    candidates = (os.environ.get("TZ", "").lstrip(":"), linked)
    return next((name for name in candidates if name in known), "UTC")
