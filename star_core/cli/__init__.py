"""The ``star`` command. Commands that orchestrate come from packages that register them.

A package adds commands through the entry-point group ``star.commands``: each entry is a function
that takes the ``typer.Typer`` application. Imports here stay light: the candidate processes import
this module again.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from star_core.analysis.terminal.output import printable
from star_core.cli import commands
from star_core.cli.panels import PanelGroup
from star_core.errors import StarError
from star_core.registry import load_entry_points

INTERRUPTED = 130
"""Exit code after Ctrl-C."""
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
    """Runs the command line; a user's error is one message and exit code 2."""
    try:
        for broken in load_entry_points("star.commands", lambda add_commands: add_commands(app)):
            sys.stderr.write(f"star: cannot be loaded: {printable(broken)}\n")
        app()
    except StarError as error:
        sys.stderr.write(f"star: {printable(error)}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as ending:
        # Typer swallows the interrupt and ends with the code that shells know it by.
        if isinstance(ending, SystemExit) and ending.code != INTERRUPTED:
            raise
        sys.stderr.write("star: interrupted; the same command goes on from here\n")
        raise SystemExit(INTERRUPTED) from None
