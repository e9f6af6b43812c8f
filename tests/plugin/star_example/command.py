"""A command beside those of ``star``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command; what it needs is imported when it runs, since every ``star`` command comes here."""
    app.command()(example)


def example(
    params: Annotated[Path, typer.Option("--params", help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Says what a million tokens may cost in energy, by the settings of a parameter file."""
    from star_core.config import load_params
    from star_example.energy import NAME, Energy

    settings = load_params(params).objectives.settings_of(NAME, Energy)
    typer.echo(f"{settings.watts:g} W, {settings.tokens:,} tokens")
