"""The ``star`` command. Commands that orchestrate come from packages that register them.

A package adds commands through the entry-point group ``star.commands``: each entry is a function
that takes the ``typer.Typer`` application. Imports here stay light: the candidate processes import
this module again.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from star_core.errors import StarError

app = typer.Typer(
    name="star",
    help="Evolve language-model architectures for your data, budget and device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.")]
DEFAULT_PARAMS = Path("params.yaml")


@app.command()
def genes(
    level: Annotated[str, typer.Option(help="backbone, operator, featurizer, or all of them.")] = "all",
) -> None:
    """Prints every integer of the three genome levels with its range and meaning."""
    from rich.console import Console

    from star_core.analysis.explain import gene_tables

    console = Console()
    for table in gene_tables(level):
        console.print(table, "")


@app.command()
def inspect(
    genome: Annotated[str, typer.Argument(help="A genome, a baseline's name, or RUN:INDIVIDUAL.")],
    params: ParamsFile = DEFAULT_PARAMS,
    width: Annotated[int | None, typer.Option(help="Channels; the parameter file's by default.")] = None,
) -> None:
    """Explains a genome layer by layer: sharing links, parameters, cache, FLOPs per token."""
    from rich.console import Console

    from star_core.analysis.explain import architecture_tables, find_architecture
    from star_core.config import Params, load_params

    settings = load_params(params) if params != DEFAULT_PARAMS or params.exists() else Params()
    architecture = find_architecture(genome, Path("data"), settings, width)
    console = Console()
    for part in architecture_tables(architecture):
        console.print(part, "")


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name of the run.")] = "main",
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Writes the run's report: one HTML file, and metrics and plots for DVC beside it."""
    from star_core.analysis.report import write_report
    from star_core.config import Params, load_params
    from star_core.population.store import EvaluationStore

    settings = load_params(params) if params != DEFAULT_PARAMS or params.exists() else Params()
    store = EvaluationStore(settings.runtime.storage)
    typer.echo(write_report(run, Path("data"), Path("data/reports") / run, store))


def main() -> None:
    """Runs the command line; a user's error is one message and exit code 2."""
    try:
        for entry in entry_points(group="star.commands"):
            entry.load()(app)
        app()
    except StarError as error:
        sys.stderr.write(f"star: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("star: interrupted; the same command goes on from here\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
