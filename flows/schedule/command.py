"""``star deploy``: a run that goes on by a schedule, served by this process or by the workers of a pool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from star_core.analysis.terminal.output import plain_console
from star_core.errors import ConfigError, StarError

from ..commands.preparation import check_experiment
from ..run.paths import RunPaths
from ..run.session import Session
from ..server.process import PORT, answers, api_url, prefect_server
from .cron import schedule
from .deployment import Deployment, registered
from .serving import hand_over, run_here, serve


def deploy_command(
    paths: RunPaths,
    cron: str | None,
    timezone: str | None,
    generations: int,
    name: str | None,
    pool: str | None,
    once: bool,
) -> None:
    """Serves a schedule until it is stopped; hands it to a pool; or (``once``) does now what it would do.

    Raises:
        StarError: The schedule, the experiment, the name or the pool is wrong, or no server answers.
    """
    console = plain_console()
    if (cron is None) != once:
        raise ConfigError(
            "a run goes on by a schedule, or once now",
            value=cron,
            place="--cron",
            fix="give --cron, e.g. '0 2 * * *' for every night at two, or --once",
        )
    times = None if cron is None else schedule(cron, timezone)
    check_experiment(Session(paths))
    wanted = Deployment(paths, _checked(name, paths), generations, times, pool)
    if pool is None and once:
        run_here(wanted)
        return
    from ..server.outages import explaining

    with explaining(), api(console, own=pool is None) as url:
        found = registered(wanted)
        if pool is None:
            serve(wanted, url, console)
        else:
            hand_over(wanted, found, pool, url, console)


def _checked(name: str | None, paths: RunPaths) -> str:
    if name is None:
        folder = "".join("-" if _is_refused(letter) else letter for letter in paths.path().name)
        return f"{folder or 'root'}-{paths.run}"
    if not name.strip() or any(map(_is_refused, name)):
        raise ConfigError(
            "a deployment's name has no '/', '%', '&', '<' or '>'",
            value=name,
            place="--name",
            fix="leave it out: it is made of folder and run",
        )
    return name


def _is_refused(letter: str) -> bool:
    """Whether Prefect, or a line on a terminal, cannot have it in a name."""
    return letter in "/%&<>" or not letter.isprintable()


@contextmanager
def api(console: Console, own: bool) -> Iterator[str]:
    """A Prefect server, its API's URL known to Prefect: the configured one, or one on this machine.

    Args:
        console: Where it is printed which server is used.
        own: Whether one may be started here, for as long as the block runs.

    Raises:
        StarError: No server answers.
    """
    from prefect.settings import get_current_settings

    configured = get_current_settings().api.url
    if configured is not None:
        if not answers(configured, seconds=10):
            raise StarError(
                "no Prefect server answers",
                value=configured,
                place="PREFECT_API_URL",
                fix="start it (docs/running.md)"
                + (", or unset PREFECT_API_URL and one is started here" if own else ""),
            )
        yield configured
    elif answers(api_url()):
        yield _use(api_url())
    elif own:
        console.print("Starting a Prefect server on this machine …")
        with prefect_server(os.environ, PORT) as environment:
            yield _use(environment["PREFECT_API_URL"])
    else:
        raise StarError(
            "workers need a Prefect server that stays when this command ends",
            place="PREFECT_API_URL",
            fix="run `prefect server start` in another terminal, then this command again",
        )


def _use(url: str) -> str:
    from prefect.context import refresh_global_settings_context

    os.environ["PREFECT_API_URL"] = url  # flow runs are other processes
    refresh_global_settings_context()
    return url
