"""The ``star`` command. Commands that orchestrate come from packages that register them.

A package adds commands through the entry-point group ``star.commands``: each entry is a function
that takes the ``typer.Typer`` application. Imports here stay light: the candidate processes import
this module again.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from star_core.analysis.terminal.output import say_error, write_anything
from star_core.cli import commands
from star_core.cli.panels import PanelGroup
from star_core.environment import settle
from star_core.errors import StarError
from star_core.registry import load_entry_points
from star_core.storage.failures import reason_of

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
TRACEBACK = "STAR_TRACEBACK"
"""Variable by which an unexpected error is shown with where it came from."""
EXIT_CODES = (
    "Exit codes: 0 done; 1 the answer is no (doctor found a problem, reproduce a difference); 2 something is "
    "to be corrected, and the message says what; 130 interrupted (Ctrl-C); 143 terminated (SIGTERM). After "
    "the last two the same command goes on."
)

app = typer.Typer(
    name="star",
    cls=PanelGroup,
    help="Evolve language-model architectures for your data, budget and device.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"star-open {_of('star-open')}, Python {platform.python_version()}, torch {_of('torch')}")
        raise typer.Exit


def _of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@app.callback()
def star(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Versions of star, Python and torch."
        ),
    ] = False,
) -> None:
    """Evolve language-model architectures for your data, budget and device."""


commands.register(app)


def main() -> None:
    """Runs the command line; whatever goes wrong is one message and exit code 2."""
    write_anything()
    try:
        settle()
        for broken in load_entry_points("star.commands", lambda add_commands: add_commands(app)):
            say_error(f"cannot be loaded: {broken}")
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where a full disk is an error like any other
    except StarError as error:
        say_error(error)
        raise SystemExit(2) from None
    except Exception as error:
        # What a library raises where nobody expected it to; people get no traceback unless they ask for it.
        if TRACEBACK in os.environ:
            raise
        place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        say_error(
            f"{place}{reason_of(error)}. Fix: mend that; where it does not say what is wrong, or star is, "
            f"type this again with {TRACEBACK}=1 before it and report what that prints"
        )
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as ending:
        # Typer swallows the interrupt and ends with the code that shells know it by.
        if isinstance(ending, SystemExit) and ending.code != INTERRUPTED:
            raise
        say_error("interrupted; the same command goes on from here")
        raise SystemExit(INTERRUPTED) from None
