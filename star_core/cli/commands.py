"""The commands that need no flow. What they do is imported when they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from star_core.analysis.terminal.output import Output
from star_core.cli.options import (
    DATA,
    GENOME_HELP,
    Changes,
    Individual,
    ParamsFile,
    Run,
    Scaled,
    Width,
    expanded,
)
from star_core.cli.panels import AFTER, LOOK, add, deprecated

if TYPE_CHECKING:
    from star_core.config import Params


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    add(app, LOOK, genes)
    add(app, LOOK, inspect)
    add(app, LOOK, report)
    add(app, LOOK, measure)
    add(app, AFTER, evaluate)
    add(app, AFTER, export)


def parameters(run: str | None, params: str | None, changes: Sequence[str] | None) -> Params:
    """The parameters a command works with.

    Args:
        run: The run that is named; ``None``: none is.
        params: The file that is named; ``None``: the run's own, or ``params.yaml`` if it is there.
        changes: Parameters in place of the file's.
    """
    from star_core.config import load_params, params_from
    from star_core.config.changes import with_changes
    from star_core.population.ledger import DEFAULT_PARAMS, own_params_file

    file = params or (own_params_file(Path(), run) if run is not None else DEFAULT_PARAMS)
    if params is None and not Path(file).exists():
        return params_from(with_changes({}, changes or ()), "--set")
    return load_params(file, changes or ())


def _run_of(genome: str) -> str | None:
    run, colon, _ = genome.partition(":")
    return run if colon else None


def genes(
    level: Annotated[
        str, typer.Option(help="backbone, operator, featurizer, own (classes of a genome), or all of them.")
    ] = "all",
) -> Output:
    """Prints every integer of the three genome levels with its range and meaning."""
    from star_core.analysis.terminal.explain import gene_tables

    tables = list(gene_tables(level))
    return Output({table.name: table.records() for table in tables}, tables)


def inspect(
    genome: Annotated[str, typer.Argument(help=GENOME_HELP)],
    params: ParamsFile = None,
    changes: Changes = None,
    width: Width = None,
) -> Output:
    """Explains a genome layer by layer: sharing links, parameters, cache, FLOPs per token, own classes."""
    from star_core.analysis.run.outcomes import evaluations, has_failed, reason_of
    from star_core.analysis.terminal.explain import explained, find_architecture, find_individual
    from star_core.storage.evaluations import EvaluationStore

    settings = parameters(_run_of(genome), params, changes)
    architecture, found = find_architecture(genome, DATA, settings, width), find_individual(genome, DATA)
    if found is None:
        return explained(architecture)
    individual, store = found[0], None
    if has_failed(individual) and individual.failure is None:
        store = EvaluationStore(settings.runtime.storage, settings.runtime.endpoint)
    return explained(architecture, individual, reason_of(individual, evaluations([individual.key], store)))


def report(run: Run = "main", params: ParamsFile = None, changes: Changes = None) -> Output:
    """Writes the run's report: one HTML file, and metrics and plots for DVC beside it."""
    import json

    from star_core.analysis.report.report import write_report
    from star_core.analysis.terminal.table import whole
    from star_core.storage.evaluations import EvaluationStore

    runtime = parameters(run, params, changes).runtime
    store = EvaluationStore(runtime.storage, runtime.endpoint)
    page = write_report(run, DATA, DATA / "reports" / run, store)
    metrics = json.loads(page.with_name("metrics.json").read_text())
    return Output({"run": run, "report": str(page), "metrics": metrics}, [whole(page)])


def measure(
    genome: Annotated[list[str], typer.Argument(help="Genomes, baselines' names, or RUN:INDIVIDUAL.")],
    params: ParamsFile = None,
    changes: Changes = None,
    width: Width = None,
    prompt: Annotated[int | None, typer.Option(help="Tokens until the first one is written.", min=1)] = None,
    context: Annotated[int | None, typer.Option(help="Tokens held while others are written.", min=1)] = None,
    repeats: Annotated[int, typer.Option(help="Undisturbed repeats of each timing.", min=3)] = 15,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
) -> Output:
    """Measures time to first token, time per token and memory on this machine."""
    from star_core.analysis.terminal.explain import find_architecture
    from star_core.measurement.isolated import measure_all
    from star_core.measurement.table import measurements

    stated = {
        "objectives.prompt_length": prompt,
        "objectives.cache_length": context,
        "training.threads": threads,
    }
    options = [f"{key}={value}" for key, value in stated.items() if value is not None]
    run = next(filter(None, map(_run_of, genome)), None)
    settings = parameters(run, params, changes)
    measured = parameters(run, params, [*(changes or ()), *options])
    architectures = [find_architecture(text, DATA, settings, width) for text in genome]
    return measurements(measure_all(architectures, measured, repeats), measured.objectives)


def evaluate(
    run: Run = "main",
    *,
    tasks: Annotated[
        Path, typer.Option(help="A task file of lm-eval, or a folder of them.", callback=expanded)
    ],
    name: Annotated[
        list[str] | None, typer.Option(help="An individual or a baseline; repeatable. All by default.")
    ] = None,
    scaled: Scaled = None,
    limit: Annotated[int | None, typer.Option(help="Items of each task; all by default.", min=1)] = None,
    context: Annotated[
        int | None,
        typer.Option(help="Tokens that are read at most; as many as in training by default.", min=2),
    ] = None,
) -> Output:
    """Runs the retrained best of a run, and its baselines, on tasks of lm-eval whose data is local."""
    from star_core.downstream.command import evaluate_command

    return evaluate_command(run, DATA, tasks, name or (), scaled, limit, context)


def export(
    individual: Individual,
    name: Annotated[str | None, typer.Argument(hidden=True)] = None,
    *,
    to: Annotated[
        Path, typer.Option(help="Folder that is made; it must be empty or not be there.", callback=expanded)
    ],
    scaled: Scaled = None,
    program: Annotated[
        bool, typer.Option("--program", help="And the forward pass as a torch.export program.")
    ] = False,
) -> None:
    """Writes a trained model as a folder that is of use without its run: genome, weights, how to load it."""
    from star_core.errors import ConfigError
    from star_core.exported.command import export_command

    if name is not None:
        deprecated("RUN NAME", f"use {individual}:{name}")
        individual = f"{individual}:{name}"
    run, _, wanted = individual.partition(":")
    if not wanted:
        raise ConfigError("what is exported reads RUN:NAME", value=individual, fix=f"use main:{individual}")
    export_command(run, wanted, DATA, to, scaled, program)
