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
    Formats,
    Individual,
    ParamsFile,
    Precisions,
    Run,
    Scaled,
    Width,
    expanded,
    names_in,
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
    add(app, AFTER, generate)


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
    from star_core.exported.leaving import with_formats
    from star_core.storage.evaluations import EvaluationStore

    settings = parameters(_run_of(genome), params, changes)
    architecture, found = find_architecture(genome, DATA, settings, width), find_individual(genome, DATA)
    if found is None:
        return with_formats(explained(architecture, settings.objectives), architecture)
    individual, store = found[0], None
    if has_failed(individual) and individual.failure is None:
        store = EvaluationStore(settings.runtime.storage, settings.runtime.endpoint)
    reason = reason_of(individual, evaluations([individual.key], store))
    return with_formats(explained(architecture, settings.objectives, individual, reason), architecture)


def report(run: Run = "main", params: ParamsFile = None, changes: Changes = None) -> Output:
    """Writes the run's report: one HTML file, and metrics and plots for DVC beside it."""
    import json

    from star_core.analysis.report.report import write_report
    from star_core.analysis.terminal.table import whole
    from star_core.storage.evaluations import EvaluationStore

    runtime = parameters(run, params, changes).runtime
    store = EvaluationStore(runtime.storage, runtime.endpoint)
    page = write_report(run, DATA, DATA / "reports" / run, store)
    metrics = json.loads(page.with_name("metrics.json").read_bytes())
    return Output({"run": run, "report": str(page), "metrics": metrics}, [whole(page)])


def measure(
    genome: Annotated[
        list[str] | None, typer.Argument(help="Genomes, baselines' names, or RUN:INDIVIDUAL.")
    ] = None,
    params: ParamsFile = None,
    changes: Changes = None,
    width: Width = None,
    prompt: Annotated[int | None, typer.Option(help="Tokens until the first one is written.", min=1)] = None,
    context: Annotated[int | None, typer.Option(help="Tokens held while others are written.", min=1)] = None,
    repeats: Annotated[int, typer.Option(help="Undisturbed repeats of each timing.", min=3)] = 15,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    runtimes: Annotated[
        list[str] | None,
        typer.Option(
            "--runtime",
            help="onnxruntime, openvino, llama.cpp or eager; repeatable, or with commas.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="f32, int8 or int4; repeatable, or with commas."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="And the kernels that each runtime computes a token with.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Write a folder that measures them on another device.", callback=expanded),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--for-search",
            metavar="RUN|FILE",
            help="Fill it with what tells the cost of each LIV of a run's space, or a parameter file's.",
        ),
    ] = None,
    imported: Annotated[
        Path | None,
        typer.Option("--import", help="The measurements.json that a bundle brought back.", callback=expanded),
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="Name of the device that is imported.")] = None,
) -> Output:
    """Measures time to first token, time per token and memory on this machine; several take turns."""
    from star_core.analysis.terminal.explain import find_architecture
    from star_core.errors import ConfigError, nearest
    from star_core.measurement.command import bundle_command, import_command, measure_command, one_task
    from star_core.population.generation import stored_generations

    one_task(bool(genome), bundle is not None, search is not None, imported is not None, name is not None)
    if imported is not None and name is not None:
        return import_command(imported, name)
    genome = genome or []
    if search is not None:
        run, params = (None, search) if Path(search).suffix or Path(search).is_file() else (search, params)
        if run is not None and not stored_generations(run, DATA):
            there = sorted(path.name for path in (DATA / "populations").glob("*"))
            fix = nearest(run, there)
            raise ConfigError("there is no such run", value=run, place="--for-search", fix=fix)
    else:
        run = next(filter(None, map(_run_of, genome)), None)
    settings = parameters(run, params, changes)
    stated = {
        "objectives.prompt_length": prompt,
        "objectives.cache_length": context,
        "objectives.threads": threads,
        "training.threads": threads,
    }
    options = ["objectives.device=null"]
    options += [f"{key}={value}" for key, value in stated.items() if value is not None]
    section = settings.objectives
    measured = [
        parameters(
            run,
            params,
            [*(changes or ()), *options, f"objectives.runtime={chosen}", f"objectives.weights={precision}"],
        )
        for chosen in names_in(runtimes, section.runtime)
        for precision in names_in(weights, section.weights)
    ]
    architectures = [(text, find_architecture(text, DATA, settings, width)) for text in genome]
    if bundle is not None:
        return bundle_command(
            bundle, architectures, measured, settings if search is not None else None, width
        )
    return measure_command(architectures, measured, repeats, verbose)


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
    formats: Formats = None,
    weights: Precisions = None,
    scaled: Scaled = None,
    program: Annotated[
        bool, typer.Option("--program", help="And the forward pass as a torch.export program.")
    ] = False,
) -> None:
    """Writes a trained model as a folder that is of use without its run, for one or several runtimes."""
    from star_core.errors import ConfigError
    from star_core.exported.command import export_command

    if name is not None:
        deprecated("RUN NAME", f"use {individual}:{name}")
        individual = f"{individual}:{name}"
    run, _, wanted = individual.partition(":")
    if not wanted:
        raise ConfigError("what is exported reads RUN:NAME", value=individual, fix=f"use main:{individual}")
    export_command(
        run, wanted, DATA, to, scaled, program, names_in(formats, "torch"), names_in(weights, "f32")
    )


def generate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN:NAME|FOLDER",
            help="A retrained individual or baseline of a run, or a folder that star export made.",
            callback=expanded,
        ),
    ],
    prompt: Annotated[
        list[str] | None,
        typer.Argument(help="Texts to continue, one after the other; a new document by default."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="A file of prompts, one in each line.", callback=expanded)
    ] = None,
    new_tokens: Annotated[int, typer.Option(help="The most tokens behind each prompt.", min=0)] = 200,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token each time.", min=0)] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw among so many likeliest tokens; 0: all.", min=0)] = 0,
    top_p: Annotated[
        float,
        typer.Option(help="Draw among the likeliest tokens that together have this chance.", min=0, max=1),
    ] = 0.95,
    stop: Annotated[list[str] | None, typer.Option(help="A text to stop before; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn, for each prompt anew.", min=0)] = 0,
    wanted: Annotated[
        str | None,
        typer.Option(
            "--format", help="What computes: onnx (the default), torch, hf, gguf; or what the folder has."
        ),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="f32, int8 or int4; the most exact by default.")] = None,
    scaled: Scaled = None,
) -> Output:
    """Writes behind prompts with a trained model, as it decodes: of a run, or of an exported folder."""
    from star_core.exported.generation import Writing, generate_command, lines

    writing = Writing(new_tokens, seed, tuple(stop or ()), temperature, top_k, top_p)
    texts = [*(prompt or ()), *(lines(prompts) if prompts else ())]
    return generate_command(model, texts or [""], DATA, writing, wanted, weights, scaled)
