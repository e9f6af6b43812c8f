"""The commands of ``star``, all of them, and how tests call them in their own process."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import typer.main
from star_flows.cli import register

from star_core import cli

register(cli.app)
APPLICATION: Any = typer.main.get_command(cli.app)


def leaves(group: Any = APPLICATION, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Words that call a command, and the command."""
    for name, command in group.commands.items():
        is_group = hasattr(command, "commands")
        if not is_group or command.invoke_without_command:
            yield (*path, name), command
        if is_group:
            yield from leaves(command, (*path, name))


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def call(*arguments: str) -> Ended:
    """What ``star ARGUMENTS`` does, but for starting an interpreter; other errors than its own are raised."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["star", *arguments]),
        mock.patch.object(cli, "load_entry_points", return_value=[]),
    ):
        code: object = 0
        try:
            cli.main()
        except SystemExit as ending:
            code = ending.code or 0
        assert isinstance(code, int), code
        out.seek(0)
        err.seek(0)
        return Ended(code, out.read(), err.read())
