"""How commands are added to ``star``: grouped in its help, with ``--json`` where they print data."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from star_core.analysis.terminal.output import Output, only_document, print_parts, say_error

SEARCH, LOOK, AFTER, OPERATE, STAGES = PANELS = (
    "Search",
    "Look",
    "After the search",
    "Operate",
    "DVC stages",
)
"""The groups of ``star --help``, in their order."""

Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON document on standard output; all else goes to standard error."),
]


class PanelGroup(TyperGroup):
    """Commands in the order of their panels, those of other packages last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands."""

        def panel(name: str) -> int:
            title = getattr(self.commands[name], "rich_help_panel", None)
            return PANELS.index(title) if title in PANELS else len(PANELS)

        return sorted(super().list_commands(ctx), key=panel)


class StarCommand(TyperCommand):
    """A command that also understands ``--run NAME``, as runs were named before they were an argument."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the command line."""
        return super().parse_args(ctx, _run_first(args))


def _run_first(args: list[str]) -> list[str]:
    options = args[: args.index("--")] if "--" in args else args
    for index, text in enumerate(options):
        if text == "--run" and index + 1 < len(options):
            run, rest = args[index + 1], [*args[:index], *args[index + 2 :]]
        elif text.startswith("--run="):
            run, rest = text.removeprefix("--run="), [*args[:index], *args[index + 1 :]]
        else:
            continue
        if "DVC_STAGE" not in os.environ:  # dvc.lock keeps commands as they were typed
            deprecated("--run NAME", f"the run is an argument: {run}")
        return [run, *rest]
    return args


def deprecated(old: str, new: str) -> None:
    """Says on standard error that a spelling will go."""
    say_error(f"{old} is deprecated and will go in the next release; {new}")


def add(
    app: typer.Typer, panel: str, function: Callable[..., Output | None], name: str | None = None
) -> None:
    """Adds a command; one that returns an ``Output`` gets ``--json``."""
    app.command(name, cls=StarCommand, rich_help_panel=panel)(printed(function))


def printed(function: Callable[..., Output | None]) -> Callable[..., None]:
    """A command that prints what ``function`` returns: as JSON where that is asked for, else for people."""
    signature = inspect.signature(function, eval_str=True)
    if signature.return_annotation is None:
        return function  # type: ignore[return-value]

    @functools.wraps(function)
    def command(*args: Any, json: bool = False, **options: Any) -> None:
        if json:
            with only_document() as write:
                output = function(*args, **options)
                if output is not None:
                    write(output.data() if callable(output.data) else output.data)
        else:
            output = function(*args, **options)
            if output is not None:
                print_parts(output.parts)
        if output is not None and output.code:
            raise typer.Exit(output.code)

    option = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)
    parameters = [*signature.parameters.values(), option]
    command.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
