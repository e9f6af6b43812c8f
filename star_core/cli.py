"""The ``star`` command. Commands that orchestrate come from packages that register them.

A package adds commands through the entry-point group ``star.commands``: each entry is a function
that takes the ``typer.Typer`` application. Imports here stay light: the candidate processes import
this module again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from star_core.errors import StarError
from star_core.registry import load_entry_points

app = typer.Typer(
    name="star",
    help="Evolve language-model architectures for your data, budget and device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ParamsFile = Annotated[Path, typer.Option("--params", help="Parameter file.")]
DEFAULT_PARAMS = Path("params.yaml")
Scaled = Annotated[
    str | None,
    typer.Option(help="A retraining at another size, e.g. width-128-depth-16; the run's own by default."),
]
INTERRUPTED = 130
"""Exit code after Ctrl-C."""


@app.command()
def genes(
    level: Annotated[
        str, typer.Option(help="backbone, operator, featurizer, own (classes of a genome), or all of them.")
    ] = "all",
) -> None:
    """Prints every integer of the three genome levels with its range and meaning."""
    from rich.console import Console

    from star_core.analysis.terminal.explain import gene_tables

    console = Console()
    for table in gene_tables(level):
        console.print(table, "")


@app.command()
def inspect(
    genome: Annotated[str, typer.Argument(help="A genome, a baseline's name, or RUN:INDIVIDUAL.")],
    params: ParamsFile = DEFAULT_PARAMS,
    width: Annotated[int | None, typer.Option(help="Channels; the parameter file's by default.")] = None,
) -> None:
    """Explains a genome layer by layer: sharing links, parameters, cache, FLOPs per token, own classes."""
    from rich.console import Console

    from star_core.analysis.terminal.explain import architecture_tables, find_architecture
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
    from star_core.analysis.report.report import write_report
    from star_core.config import Params, load_params
    from star_core.storage.evaluations import EvaluationStore

    settings = load_params(params) if params != DEFAULT_PARAMS or params.exists() else Params()
    store = EvaluationStore(settings.runtime.storage, settings.runtime.endpoint)
    typer.echo(write_report(run, Path("data"), Path("data/reports") / run, store))


@app.command()
def measure(
    genome: Annotated[list[str], typer.Argument(help="Genomes, baselines' names, or RUN:INDIVIDUAL.")],
    params: ParamsFile = DEFAULT_PARAMS,
    width: Annotated[int | None, typer.Option(help="Channels; the parameter file's by default.")] = None,
    prompt: Annotated[int | None, typer.Option(help="Tokens until the first one is written.", min=1)] = None,
    context: Annotated[int | None, typer.Option(help="Tokens held while others are written.", min=1)] = None,
    repeats: Annotated[int, typer.Option(help="Undisturbed repeats of each timing.", min=3)] = 15,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
) -> None:
    """Measures time to first token, time per token and memory on this machine."""
    from rich.console import Console

    from star_core.analysis.terminal.explain import find_architecture
    from star_core.config import Params, load_params
    from star_core.measurement.isolated import measure_all
    from star_core.measurement.table import measurement_tables

    settings = load_params(params) if params != DEFAULT_PARAMS or params.exists() else Params()
    lengths = {"prompt_length": prompt, "cache_length": context}
    section = settings.objectives.model_copy(update={k: v for k, v in lengths.items() if v is not None})
    recipe = settings.training.model_copy(update={} if threads is None else {"threads": threads})
    measured = settings.model_copy(update={"objectives": section, "training": recipe})
    architectures = [find_architecture(text, Path("data"), settings, width) for text in genome]
    console = Console()
    for architecture, evaluation in measure_all(architectures, measured, repeats):
        for part in measurement_tables(architecture, evaluation, section):
            console.print(part)
        console.print()


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(help="Name of a run that was retrained.")],
    tasks: Annotated[Path, typer.Option(help="A task file of lm-eval, or a folder of them.")],
    name: Annotated[
        list[str] | None, typer.Option(help="An individual or a baseline; repeatable. All by default.")
    ] = None,
    scaled: Scaled = None,
    limit: Annotated[int | None, typer.Option(help="Items of each task; all by default.", min=1)] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Tokens that are read at most; as many as in training by default.", min=2),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File the results are written to as well.")] = None,
) -> None:
    """Runs the retrained best of a run, and its baselines, on tasks of lm-eval whose data is local."""
    from star_core.downstream.command import evaluate_command

    evaluate_command(run, Path("data"), tasks, name or (), scaled, limit, context, json)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="Name of a run that was retrained.")],
    name: Annotated[str, typer.Argument(help="Name of an individual or a baseline.")],
    to: Annotated[Path, typer.Option(help="Folder that is made; it must be empty or not be there.")],
    scaled: Scaled = None,
    program: Annotated[
        bool, typer.Option("--program", help="And the forward pass as a torch.export program.")
    ] = False,
) -> None:
    """Writes a trained model as a folder that is of use without its run: genome, weights, how to load it."""
    from star_core.exported.command import export_command

    export_command(run, name, Path("data"), to, scaled, program)


def main() -> None:
    """Runs the command line; a user's error is one message and exit code 2."""
    try:
        for broken in load_entry_points("star.commands", lambda add_commands: add_commands(app)):
            sys.stderr.write(f"star: cannot be loaded: {broken}\n")
        app()
    except StarError as error:
        sys.stderr.write(f"star: {error}\n")
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as ending:
        # Typer swallows the interrupt and ends with the code that shells know it by.
        if isinstance(ending, SystemExit) and ending.code != INTERRUPTED:
            raise
        sys.stderr.write("star: interrupted; the same command goes on from here\n")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
