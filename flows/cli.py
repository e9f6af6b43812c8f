"""The commands that run flows: added to ``star`` through the entry-point group ``star.commands``.

Prefect, DVC and the candidate processes are imported inside the commands: this module is imported
again by every candidate process.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from star_core.analysis.terminal.output import Output
from star_core.cli.options import (
    Changes,
    Formats,
    ParamsFile,
    Precisions,
    Run,
    Width,
    expanded,
    names_in,
    stored_names,
)
from star_core.cli.panels import AFTER, LOOK, OPERATE, SEARCH, STAGES, add, printed

if TYPE_CHECKING:
    from .run.paths import RunPaths

Generations = Annotated[
    int | None, typer.Option(help="Index of the last generation; the parameter file's by default.", min=0)
]
MaxTokens = Annotated[
    int | None, typer.Option(help="Tokens the whole run may train; in place of budget.tokens.", min=0)
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(help="Seconds after which no candidate is begun; in place of budget.seconds.", min=0),
]
Index = Annotated[int, typer.Option("--index", help="Number of the generation; 0: the founders.", min=0)]

runs = typer.Typer(help="Lists the runs of this project; compares two, or removes one.")


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    for panel, function in (
        (SEARCH, evolve),
        (SEARCH, plan),
        (SEARCH, resume),
        (SEARCH, reproduce),
        (AFTER, pick),
        (AFTER, retrain),
        (OPERATE, doctor),
        (OPERATE, deploy),
        (STAGES, prepare),
        (STAGES, baselines),
        (STAGES, generation),
        (STAGES, fork),
    ):
        add(app, panel, function)
    runs.callback(invoke_without_command=True)(printed(listed))
    add(runs, LOOK, compare)
    add(runs, LOOK, remove)
    app.add_typer(runs, name="runs", rich_help_panel=LOOK)


def evolve(
    run: Run = "main",
    params: ParamsFile = None,
    changes: Changes = None,
    generations: Generations = None,
    max_tokens: MaxTokens = None,
    max_seconds: MaxSeconds = None,
) -> Output:
    """Evolves a run, or goes on with it: what is stored is never made again.

    [bold]--set[/bold] of generations, retrain, budget and runtime is for this call. Any other key begins a
    new run by it, kept in params-RUN.yaml; a run with stored generations belongs to the values it has, and
    `star resume RUN --as NAME --set …` makes a fork with others.
    """
    from .commands.choice import begun
    from .commands.evolve import evolve_command
    from .commands.front import evolved

    paths = begun(Path.cwd(), run, params, changes or ())
    ended = evolve_command(paths, generations, None, max_tokens, max_seconds)
    return evolved(paths, ended)


def plan(
    run: Run = "main",
    params: ParamsFile = None,
    changes: Changes = None,
    generations: Generations = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="And of `star retrain` after it.")] = False,
    calibrate: Annotated[
        bool, typer.Option(help="Train a few steps of a few genomes where nothing was measured yet.")
    ] = True,
    max_tokens: MaxTokens = None,
    max_seconds: MaxSeconds = None,
) -> Output:
    """Says what a run will take, before it is spent, and where its budget will end it."""
    from .commands.choice import chosen
    from .commands.plan import plan_command

    paths = chosen(Path.cwd(), run, params, changes or ())
    return plan_command(paths, generations, retrain, calibrate, max_tokens, max_seconds)


def resume(
    run: Run = "main",
    start: Annotated[
        int | None,
        typer.Option("--from", help="Fork from this stored generation; the newest by default.", min=0),
    ] = None,
    name: Annotated[str | None, typer.Option("--as", help="Name of the fork.")] = None,
    params: Annotated[
        str | None,
        typer.Option(
            "--params", help="Parameter file of the fork; a copy of the run's by default.", callback=expanded
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter of the fork, e.g. evolution.mutation_rate=0.2; without --as, one for this "
            "call that no stored generation depends on; repeatable.",
        ),
    ] = None,
    generations: Generations = None,
) -> Output:
    """Goes on with a stored run, or forks it: --as NAME, with changed parameters."""
    from .commands.choice import chosen
    from .commands.front import evolved
    from .commands.resume import fork_run, resume_run

    root = Path.cwd()
    if name is None:
        ended = resume_run(root, run, start, params, changes or [], generations)
    else:
        ended = fork_run(root, run, start, name, params, changes or [], generations)
    return evolved(chosen(root, name or run, None, ()), ended)


def reproduce(
    run: Run = "main",
    index: Annotated[
        int | None,
        typer.Option("--generation", help="Number of the generation; the newest by default.", min=0),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Relative difference of a value that another machine type may make.", min=0)
    ] = 0.02,
) -> Output:
    """Makes a stored generation again from its parent, training included, and compares them."""
    from .commands.reproduce import reproduce_command

    return reproduce_command(Path.cwd(), run, index, tolerance)


def pick(
    run: Run = "main",
    params: ParamsFile = None,
    changes: Changes = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="NAME=VALUE",
            help="The most that an objective may be, in bytes, seconds, …, e.g. file_bytes=1e6; repeatable.",
        ),
    ] = None,
    best: Annotated[str, typer.Option(help="The objective to be best by.")] = "perplexity",
    retrained: Annotated[
        bool, typer.Option("--retrained", help="Pick from what was retrained, by what that came to.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--export",
            help="Folder the choice is written to, trained longer first unless it was.",
            callback=expanded,
        ),
    ] = None,
    formats: Formats = None,
    weights: Precisions = None,
) -> Output:
    """Picks the best candidate within limits, and says what each limit costs.

    Sizes and FLOPs are counted from the spec; [bold]--set[/bold] of objectives says under which conditions,
    e.g. objectives.weights=int4. Exit code 1: nobody is within the limits, and the nearest are shown.
    """
    from .commands.pick import Export, pick_command

    export = None if folder is None else Export(folder, names_in(formats, "torch"), names_in(weights, "f32"))
    return pick_command(Path.cwd(), run, params, changes or (), limits or (), best, retrained, export)


def retrain(
    run: Run = "main",
    params: ParamsFile = None,
    changes: Changes = None,
    top: Annotated[int | None, typer.Option(help="How many of the front.", min=1)] = None,
    width: Width = None,
    depth: Annotated[int | None, typer.Option(help="LIVs; the run's by default.", min=1)] = None,
    by: Annotated[str, typer.Option(help="How genomes get deeper: repeat or stretch.")] = "repeat",
) -> Output:
    """Trains the best of a run, and the baselines, for longer, at any size; keeps their weights."""
    from .commands.stages import retrain_command

    return retrain_command(_kept(run, params, changes), top, width, depth, by)


def doctor(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="Look at this run only; all of the project by default.",
            autocompletion=stored_names,
        ),
    ] = None,
    params: ParamsFile = None,
    changes: Changes = None,
) -> Output:
    """Looks at what is installed, reachable, writable, scheduled and safe, and says what to mend."""
    from star_core.population.ledger import DEFAULT_PARAMS

    from .commands.choice import chosen
    from .doctor.command import doctor_command

    root = Path.cwd()
    if params is None:
        params = DEFAULT_PARAMS if run is None else chosen(root, run, None, ()).params_file
    return doctor_command(root, run, params, tuple(changes or ()))


def deploy(
    run: Run = "main",
    params: ParamsFile = None,
    changes: Changes = None,
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

    deploy_command(_kept(run, params, changes), cron, timezone, generations, name, pool, once)


def prepare(run: Run = "main", params: ParamsFile = None, changes: Changes = None) -> None:
    """Prepares the corpus of a run."""
    from .commands.stages import prepare_command

    prepare_command(_kept(run, params, changes))


def baselines(run: Run = "main", params: ParamsFile = None, changes: Changes = None) -> None:
    """Trains the hand-designed baselines of a run."""
    from .commands.stages import baselines_command

    baselines_command(_kept(run, params, changes))


def generation(
    run: Run = "main", *, index: Index, params: ParamsFile = None, changes: Changes = None
) -> None:
    """Makes one generation from the stored one before it."""
    from .commands.stages import generation_command

    generation_command(_kept(run, params, changes), index)


def fork(
    run: Run = "main",
    *,
    source: Annotated[str, typer.Option("--source", help="Name of the run that is forked.")],
    index: Index,
    params: ParamsFile = None,
    changes: Changes = None,
) -> None:
    """Begins a run with a generation of another one."""
    from .commands.stages import fork_command

    fork_command(_kept(run, params, changes), source, index)


def _kept(run: str, params: str | None, changes: list[str] | None) -> RunPaths:
    from .commands.choice import kept

    return kept(Path.cwd(), run, params, changes or ())


def listed(context: typer.Context) -> Output | None:
    """Lists the runs of this project; compares two, or removes one."""
    if context.invoked_subcommand is not None:
        return None
    from .commands.runs import list_runs

    return list_runs(Path.cwd())


def compare(
    first: Annotated[str, typer.Argument(help="Name of a run.", autocompletion=stored_names)],
    second: Annotated[str, typer.Argument(help="Name of another one.", autocompletion=stored_names)],
) -> Output:
    """Shows where two runs differ: parameters, fronts side by side, hypervolumes with one reference."""
    from .commands.runs import compare_runs

    return compare_runs(Path.cwd(), first, second)


def remove(
    run: Annotated[str, typer.Argument(help="Name of the run.", autocompletion=stored_names)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> Output | None:
    """Removes the files of a run, its entries in the ledger and its stages in dvc.lock; no evaluation."""
    from .commands.runs import remove_run

    return remove_run(Path.cwd(), run, yes)
