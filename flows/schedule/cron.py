"""When a schedule runs: a cron expression in a time zone, checked before anything is started."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from star_core.errors import ConfigError

from .time_zone import EXAMPLE, local_zone, named_zone


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

    zone = local_zone() if timezone is None else named_zone(timezone)
    fix = "give minute, hour, day, month and weekday, e.g. '0 2 * * *' for every night at two"
    if not cron.startswith("@") and len(cron.split()) != 5:
        raise ConfigError("a cron expression has five fields", value=cron, place="--cron", fix=fix)
    try:
        CronSchedule(cron="@daily", timezone=zone)
    except ValueError:
        raise ConfigError(
            "a time zone that Prefect does not know", value=zone, place="--timezone", fix=EXAMPLE
        ) from None
    try:
        times = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(2))
    except ValueError as error:
        never = "BadDate" in type(error).__name__
        rule = "this day never comes" if never else "not a cron expression"
        raise ConfigError(rule, value=cron, place="--cron", fix=fix) from None
    return Schedule(cron, zone, tuple(times))
