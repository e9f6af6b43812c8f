"""The commands that run flows: added to ``star`` through the entry-point group ``star.commands``.

Prefect, DVC and the candidate processes are imported inside the commands: this module is imported
again by every candidate process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.session import Where

Run = Annotated[str, typer.Option("--run", help="Name of the run.")]
ParamsFile = Annotated[str, typer.Option("--params", help="Parameter file.")]
Index = Annotated[int, typer.Option("--index", help="Number of the generation; 0: the founders.", min=0)]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command()(evolve)
    app.command()(retrain)
    app.command()(prepare)
    app.command()(baselines)
    app.command()(generation)


def where(run: str, params: str) -> Where:
    """The run ``run`` of the project in the working directory."""
    return Where(str(Path.cwd()), run, params)


def evolve(
    params: ParamsFile = "params.yaml",
    run: Run = "main",
    generations: Annotated[
        int | None,
        typer.Option(help="Generations after the founders; the parameter file's by default.", min=0),
    ] = None,
) -> None:
    """Evolves a run, or goes on with it: what is stored is never made again."""
    from flows.command_evolve import evolve_command

    evolve_command(where(run, params), generations)


def retrain(
    run: Annotated[str, typer.Argument(help="Name of the run.")] = "main",
    params: ParamsFile = "params.yaml",
    top: Annotated[int | None, typer.Option(help="How many of the front.", min=1)] = None,
) -> None:
    """Trains the best of a run, and the baselines, for longer; keeps their weights."""
    from flows.command_stages import retrain_command

    retrain_command(where(run, params), top)


def prepare(params: ParamsFile = "params.yaml", run: Run = "main") -> None:
    """Prepares the corpus of a run (a DVC stage)."""
    from flows.command_stages import prepare_command

    prepare_command(where(run, params))


def baselines(params: ParamsFile = "params.yaml", run: Run = "main") -> None:
    """Trains the hand-designed baselines of a run (a DVC stage)."""
    from flows.command_stages import baselines_command

    baselines_command(where(run, params))


def generation(index: Index, params: ParamsFile = "params.yaml", run: Run = "main") -> None:
    """Makes one generation from the stored one before it (a DVC stage)."""
    from flows.command_stages import generation_command

    generation_command(where(run, params), index)
