"""The commands that run flows: added to ``star`` through the entry-point group ``star.commands``.

Prefect, DVC and the candidate processes are imported inside the commands: this module is imported
again by every candidate process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .run.paths import RunPaths

Run = Annotated[str, typer.Option("--run", help="Name of the run.")]
ParamsFile = Annotated[str, typer.Option("--params", help="Parameter file.")]
Generations = Annotated[
    int | None, typer.Option(help="Generations after the founders; the parameter file's by default.", min=0)
]
MaxTokens = Annotated[
    int | None, typer.Option(help="Tokens the whole run may train; in place of budget.tokens.", min=0)
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(help="Seconds after which no candidate is begun; in place of budget.seconds.", min=0),
]
Index = Annotated[int, typer.Option("--index", help="Number of the generation; 0: the founders.", min=0)]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command()(evolve)
    app.command()(plan)
    app.command()(retrain)
    app.command()(prepare)
    app.command()(baselines)
    app.command()(generation)
    app.command()(fork)
    app.command()(resume)
    app.command()(reproduce)
    app.command()(deploy)
    app.command()(doctor)


def paths(run: str, params: str) -> RunPaths:
    """The run ``run`` of the project in the working directory."""
    return RunPaths(str(Path.cwd()), run, params)


def evolve(
    params: ParamsFile = "params.yaml",
    run: Run = "main",
    generations: Generations = None,
    max_tokens: MaxTokens = None,
    max_seconds: MaxSeconds = None,
) -> None:
    """Evolves a run, or goes on with it: what is stored is never made again."""
    from .commands.evolve import evolve_command

    evolve_command(paths(run, params), generations, None, max_tokens, max_seconds)


def plan(
    params: ParamsFile = "params.yaml",
    run: Run = "main",
    generations: Generations = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="And of `star retrain` after it.")] = False,
    calibrate: Annotated[
        bool, typer.Option(help="Train a few steps of a few genomes where nothing was measured yet.")
    ] = True,
    max_tokens: MaxTokens = None,
    max_seconds: MaxSeconds = None,
) -> None:
    """Says what a run will take, before it is spent, and where its budget will end it."""
    from .commands.plan import plan_command

    plan_command(paths(run, params), generations, retrain, calibrate, max_tokens, max_seconds)


def retrain(
    run: Annotated[str, typer.Argument(help="Name of the run.")] = "main",
    params: ParamsFile = "params.yaml",
    top: Annotated[int | None, typer.Option(help="How many of the front.", min=1)] = None,
    width: Annotated[int | None, typer.Option(help="Channels; the run's by default.", min=8)] = None,
    depth: Annotated[int | None, typer.Option(help="LIVs; the run's by default.", min=1)] = None,
    by: Annotated[str, typer.Option(help="How genomes get deeper: repeat or stretch.")] = "repeat",
) -> None:
    """Trains the best of a run, and the baselines, for longer, at any size; keeps their weights."""
    from .commands.stages import retrain_command

    retrain_command(paths(run, params), top, width, depth, by)


def prepare(params: ParamsFile = "params.yaml", run: Run = "main") -> None:
    """Prepares the corpus of a run (a DVC stage)."""
    from .commands.stages import prepare_command

    prepare_command(paths(run, params))


def baselines(params: ParamsFile = "params.yaml", run: Run = "main") -> None:
    """Trains the hand-designed baselines of a run (a DVC stage)."""
    from .commands.stages import baselines_command

    baselines_command(paths(run, params))


def generation(index: Index, params: ParamsFile = "params.yaml", run: Run = "main") -> None:
    """Makes one generation from the stored one before it (a DVC stage)."""
    from .commands.stages import generation_command

    generation_command(paths(run, params), index)


def fork(
    source: Annotated[str, typer.Option("--source", help="Name of the run that is forked.")],
    index: Index,
    params: ParamsFile = "params.yaml",
    run: Run = "main",
) -> None:
    """Begins a run with a generation of another one (a DVC stage)."""
    from .commands.stages import fork_command

    fork_command(paths(run, params), source, index)


def resume(
    run: Annotated[str, typer.Argument(help="Name of the run.")] = "main",
    start: Annotated[
        int | None,
        typer.Option("--from", help="Fork from this stored generation; the newest by default.", min=0),
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="Name of the fork.")] = None,
    params: Annotated[
        str | None,
        typer.Option("--params", help="Parameter file of the fork; a copy of the run's by default."),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the fork, e.g. evolution.mutation_rate=0.2; repeatable."),
    ] = None,
    generations: Annotated[
        int | None, typer.Option(help="Index of the last generation; the parameter file's by default.", min=0)
    ] = None,
) -> None:
    """Goes on with a stored run, or forks it: --as NAME, with changed parameters."""
    from .commands.resume import fork_run, resume_run

    if name is None:
        resume_run(Path.cwd(), run, start, params, change or [], generations)
    else:
        fork_run(Path.cwd(), run, start, name, params, change or [], generations)


def reproduce(
    run: Annotated[str, typer.Argument(help="Name of the run.")] = "main",
    index: Annotated[
        int | None,
        typer.Option("--generation", help="Number of the generation; the newest by default.", min=0),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Relative difference of a value that another machine type may make.", min=0)
    ] = 0.02,
) -> None:
    """Makes a stored generation again from its parent, training included, and compares them."""
    from .commands.reproduce import reproduce_command

    reproduce_command(Path.cwd(), run, index, tolerance)


def deploy(
    run: Run = "main",
    params: Annotated[
        str | None, typer.Option("--params", help="Parameter file; the run's own by default.")
    ] = None,
    cron: Annotated[
        str | None, typer.Option(help="When: minute, hour, day, month, weekday, e.g. '0 2 * * *'.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of --cron, e.g. Europe/Berlin; this machine's by default.")
    ] = None,
    generations: Annotated[int, typer.Option(help="By which the run goes on each time.", min=1)] = 2,
    name: Annotated[
        str | None, typer.Option(help="Name of the deployment; folder and run by default.")
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Work pool whose workers run it; this process by default.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One run now, and end.")] = False,
) -> None:
    """Goes on with a run by a schedule: served by this process, or by the workers of a pool."""
    from .schedule.command import deploy_command
    from .versions.stored_runs import params_of

    file = params if params is not None else params_of(Path.cwd(), run)
    deploy_command(paths(run, file), cron, timezone, generations, name, pool, once)


def doctor(
    run: Annotated[
        str | None, typer.Option("--run", help="Look at this run only; all of the project by default.")
    ] = None,
    params: ParamsFile = "params.yaml",
) -> None:
    """Looks at what is installed, reachable, writable, scheduled and safe, and says what to mend."""
    from .doctor.command import doctor_command

    doctor_command(Path.cwd(), run, params)
