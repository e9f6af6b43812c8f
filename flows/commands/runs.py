"""``star runs``: which runs there are, how two of them differ, and taking one away."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import RenderableType
from rich.text import Text

from star_core import units
from star_core.analysis.run.candidates import bits_of
from star_core.analysis.run.pareto import Normalisation, fresh, front, non_dominated, values_of
from star_core.analysis.terminal.front_table import heading_of
from star_core.analysis.terminal.output import Output, print_parts
from star_core.analysis.terminal.table import Column, TerminalTable, whole
from star_core.dotted import dotted
from star_core.errors import StarError, StoreError, nearest
from star_core.objectives.base import described
from star_core.population.generation import Generation, check_run_name, stored_generations
from star_core.population.individual import Individual
from star_core.population.ledger import Ledger, own_params_file, read_ledger

from ..run.locks import exclusive
from ..run.paths import RunPaths
from ..versions import dvc
from ..versions.stored_runs import stored

FOLDERS = ("populations", "tokens", "baselines", "retrain", "scaled", "reports")
"""Below ``data``: where each run has a folder of its own."""
GENERATED = "# Run "
"""How a parameter file begins that was written for a run, and goes with it."""


def list_runs(root: Path) -> Output:
    """All runs that the ledger knows or that have files here."""
    ledger = read_ledger(root / "data")
    names = _names(root, ledger)
    columns = (
        Column("name"),
        Column("generations", right=True),
        Column("candidates", right=True),
        Column("best\nperplexity", "best_perplexity", units.quality, right=True),
        Column("bits/\nbyte", "bits_per_byte", units.quality, right=True, gives_way=3),
        Column("front", right=True),
        Column("parameters", gives_way=1),
        Column("forked from", "forked_from", gives_way=2),
        Column("state"),
    )
    table = TerminalTable("", columns, [_summary(root, name, ledger) for name in names])
    said: RenderableType = table if names else Text("No runs yet: `star evolve` makes one.")
    return Output({"runs": table.records()}, [said])


def _names(root: Path, ledger: Ledger) -> list[str]:
    folder = root / "data" / "populations"
    here = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    return sorted({*ledger.runs, *here})


def _summary(root: Path, name: str, ledger: Ledger) -> tuple[object, ...]:
    known = ledger.runs.get(name)
    try:
        found = stored_generations(name, root / "data")
        params = own_params_file(root, name)
    except StarError as error:
        return name, *[None] * 7, f"unusable: {error.rule}"
    if not found:
        state = "missing: dvc pull" if known else "begun"
        return name, known.last if known else None, *[None] * 4, params, None, state
    if known is None:
        state = "stored, not in the ledger"
    else:
        state = (
            "stored" if found[-1].index >= known.last else f"missing from {found[-1].index + 1} on: dvc pull"
        )
    candidates, bits = sum(len(born) for _, born in fresh(found)), bits_of(found[-1])
    return (
        name,
        found[-1].index,
        candidates,
        _best(found),
        bits.of(_best(found)) if bits.unit == "byte" else None,
        len(found[-1].front),
        params,
        _origin(found),
        state,
    )


def _best(generations: Sequence[Generation]) -> float | None:
    known = [
        value
        for generation in generations
        for individual in generation.born
        if individual.ok and (value := individual.objectives.get("perplexity")) is not None
    ]
    return min(known, default=None)


def _origin(generations: Sequence[Generation]) -> str | None:
    parent = generations[0].parent
    return f"{parent.run}, generation {parent.index}" if generations[0].is_fork and parent else None


def compare_runs(root: Path, first: str, second: str) -> Output:
    """Where two runs differ: parameters, hypervolumes in one frame, fronts.

    Raises:
        StoreError: One of them is not stored here.
    """
    if first == second:
        raise StoreError("a run is compared with another one", value=second, place="runs", fix="star runs")
    runs = {name: stored(root, name) for name in (first, second)}
    newest = [found[-1] for found in runs.values()]
    names = [
        name
        for name in newest[0].params().objectives.selected
        if name in newest[1].params().objectives.selected
    ]
    if not names:
        raise StoreError("the two runs have no objective in common", value=f"{first}, {second}", place="runs")
    parameters, volumes, fronts = _parameters(newest), _volumes(runs, names), _fronts(newest, names)
    same_text = newest[0].data_digest == newest[1].data_digest
    parts: list[RenderableType] = [parameters if parameters.rows else Text("Their parameters are the same.")]
    if not same_text:
        parts.append(
            Text("They learn from different texts or tokens, so their perplexities do not compare.", "bold")
        )
    data = {
        "runs": list(runs),
        "same_text": same_text,
        "parameters": parameters.records(),
        "hypervolume": volumes.records(),
        "fronts": fronts.records(),
    }
    return Output(data, [*parts, volumes, fronts])


def _parameters(newest: Sequence[Generation]) -> TerminalTable:
    values = [dotted(generation.params().identity()) for generation in newest]
    keys = dict.fromkeys(key for flat in values for key in flat)
    rows = [
        (key, *(flat.get(key) for flat in values)) for key in keys if values[0].get(key) != values[1].get(key)
    ]
    columns = [Column("parameter"), *(Column(generation.run) for generation in newest)]
    return TerminalTable("Parameters that differ", columns, rows)


def _volumes(runs: dict[str, list[Generation]], names: Sequence[str]) -> TerminalTable:
    frame = Normalisation.of_runs(runs.values(), names)
    points = {
        run: [point for individual in _front(found[-1], names) if (point := values_of(individual, names))]
        for run, found in runs.items()
    }
    rows = []
    for run, found in runs.items():
        own, others = points[run], [point for other in points if other != run for point in points[other]]
        best = non_dominated([*own, *others]) if own else []
        born = [individual for _, group in fresh(found) for individual in group]
        rows.append(
            (
                run,
                found[-1].index,
                len(born),
                sum(individual.cost.tokens for individual in born),
                len(own),
                sum(index < len(own) for index in best),
                frame.hypervolume(own),
            )
        )
    columns = (
        Column("run"),
        Column("generations", right=True),
        Column("candidates", right=True, gives_way=2),
        Column("tokens", shown=units.count, right=True, gives_way=1),
        Column("front", right=True),
        Column("not dominated\nby the other", "not_dominated", right=True),
        Column("hypervolume", shown="{:.4f}".format, right=True),
    )
    objectives = ", ".join(names)
    note = f"One reference for both: the founders of both, by {objectives}."
    return TerminalTable("Hypervolume", columns, rows, note=note)


def _front(generation: Generation, names: Sequence[str]) -> tuple[Individual, ...]:
    return front(generation.population, names)


def _fronts(newest: Sequence[Generation], names: Sequence[str]) -> TerminalTable:
    members = [(generation.run, member) for generation in newest for member in _front(generation, names)]
    members.sort(key=lambda entry: (entry[1].objectives[names[0]] or 0.0, entry[0], entry[1].id))
    columns = (
        Column("run"),
        Column("name"),
        Column("genome", gives_way=1, below=True),
        *(Column(heading_of(name), name, described(name).text, right=True) for name in names),
    )
    rows = [
        (run, member.id, member.genome, *(member.objectives[name] for name in names))
        for run, member in members
    ]
    return TerminalTable("Fronts", columns, rows, styles={})


def remove_run(root: Path, run: str, yes: bool) -> Output:
    """Removes what is stored of a run but its evaluations, after asking.

    Raises:
        StoreError: There is no such run, or another one was forked from it.
        Busy: Another process is working on it.
    """
    run_paths, ledger = RunPaths(str(root), check_run_name(run)), read_ledger(root / "data")
    files = [path for folder in FOLDERS if (path := run_paths.data / folder / run).exists()]
    if run not in ledger.runs and not files:
        raise StoreError(
            "there is no such run", value=run, place="data", fix=nearest(run, _names(root, ledger))
        )
    if forks := _forks(root, run, ledger):
        raise StoreError(
            "other runs were forked from it, and cannot be made again without it",
            value=run,
            place="runs",
            fix=f"remove {', '.join(forks)} first",
        )
    with exclusive(run_paths):
        files += _own_params(root, run, ledger)
        if not yes:
            print_parts([f"Run {run}:", *(whole(f"  {path.relative_to(root)}") for path in files)])
            typer.confirm("Remove it, its ledger entries and its stages in dvc.lock?", abort=True, err=True)
        stages = dvc.forget(run_paths)
        for path in files:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    removed = [path.relative_to(root).as_posix() for path in files]
    said = [f"Removed of run {run}:"]
    said += [f"  {name}" for name in removed]
    said += [f"  {units.plural(len(stages), 'stage')} in dvc.lock"] if stages else []
    said += ["Kept: its evaluations, and what DVC's cache has of it until `dvc gc`."]
    return Output({"run": run, "files": removed, "stages": stages}, map(whole, said))


def _forks(root: Path, run: str, ledger: Ledger) -> list[str]:
    found = {name for name, fork in ledger.forks.items() if fork.source == run}
    for name in _names(root, ledger):
        begun = stored_generations(name, root / "data") if name != run else []
        if begun and begun[0].is_fork and begun[0].parent and begun[0].parent.run == run:
            found.add(name)
    return sorted(found)


def _own_params(root: Path, run: str, ledger: Ledger) -> list[Path]:
    """The parameter file that was written for this run, if no other uses it."""
    path = root / f"params-{run}.yaml"
    others = {known.params for name, known in ledger.runs.items() if name != run}
    written = path.exists() and path.read_bytes().startswith(GENERATED.encode())
    return [path] if written and path.name not in others else []
