"""``star reproduce``: one stored generation made again from its parent, aside from the run, and compared."""

from __future__ import annotations

import shutil
from dataclasses import astuple
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from star_core.analysis.run.reproduction import Agreement, Reproduction, compare, machine_of
from star_core.analysis.terminal.output import Output
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.config import Params, load_params
from star_core.config.plain_yaml import to_yaml
from star_core.errors import StoreError
from star_core.evolution.step import check_same_experiment
from star_core.machine import machine_differences, machine_fingerprint
from star_core.population.generation import Generation, generation_path, read_generation
from star_core.storage.files import write_atomically
from star_core.units import plural

from ..run.context import at_work
from ..run.display import Display
from ..run.paths import RunPaths
from ..run.requirements import check_folders
from ..run.session import Session
from ..versions.stored_runs import numbered, params_of, stored

SHOWN = 20
"""Differences in the table; there may be thousands."""


def reproduce_command(root: Path, run: str, index: int | None, tolerance: float) -> Output:
    """Trains every candidate of a generation again and tells how the result compares.

    The exit code is 1 if it is different. What is stored is only read; a call that was killed goes on.

    Raises:
        StoreError: The generation, its parent or the corpus is not here.
    """
    found = stored(root, run)
    generation = found[-1] if index is None else numbered(found, index, "--generation")
    paths = project_apart(root, run, generation)
    session = Session(paths, display=Display())
    check_same_experiment(generation, session.params, session.data.digest, paths.params_file)
    source = generation.parent.run if generation.is_fork and generation.parent else None
    with at_work(session):
        from ..generation import make_generation

        session.display.plan(len(generation.born), session.workers)
        again = make_generation(session, generation.index, source)
    found_again = compare(generation, again, tolerance)
    shutil.rmtree(paths.root)
    return verdict(generation, found_again, tolerance)


def project_apart(root: Path, run: str, generation: Generation) -> RunPaths:
    """A project of its own under ``.star`` that holds what the generation is made from, and no evaluation."""
    folder = root / ".star" / "reproduce" / f"{run}-{generation.index:03d}-{generation.digest[:12]}"
    paths = RunPaths(str(folder), run)
    tokens = root / "data" / "tokens" / run
    if not tokens.exists():
        raise StoreError(
            "the corpus it was made from is not here",
            value=run,
            place=str(tokens),
            fix=f"fetch it (dvc pull prepare@{run}) or prepare it (star prepare {run})",
        )
    check_folders(paths)
    paths.tokens.parent.mkdir(parents=True, exist_ok=True)
    if not paths.tokens.is_symlink():
        paths.tokens.symlink_to(tokens.resolve())
    if generation.parent is not None:
        name = (generation.parent.run, generation.parent.index)
        theirs = generation_path(*name, root / "data")
        parent = read_generation(theirs, *name)
        if parent.digest != generation.parent.digest:
            raise StoreError(
                f"generation {generation.index} was made from another generation {parent.index} than this",
                value=parent.digest[:12],
                place=str(theirs),
                fix=f"restore it (dvc checkout {theirs})",
            )
        write_atomically(generation_path(*name, paths.data), theirs.read_bytes())
    identity = generation.params().identity()
    runtime = load_params(root / params_of(root, run)).runtime.model_dump(mode="json")
    values = {**identity, "runtime": {**runtime, "storage": "evaluations"}}
    Params.model_validate(values)
    write_atomically(paths.path(paths.params_file), to_yaml(values).encode())
    return paths


def machines_differ(generation: Generation) -> list[str]:
    """How the machine that a generation was made on differs from this one, in words."""
    made_on = machine_of(generation)
    if made_on is None:
        return ["another release of torch there, or a processor that its key does not tell"]
    return machine_differences(made_on, machine_fingerprint(generation.params().training.accelerator))


def verdict(generation: Generation, found: Reproduction, tolerance: float) -> Output:
    """How the two agree, and where they differ."""
    name = f"Generation {generation.index} of run {generation.run}"
    machine = "another type of machine than" if found.other_machine else "the same type of machine as"
    unlike = machines_differ(generation) if found.other_machine else []
    why = f": {'; '.join(unlike)}" if unlike else ""
    differing = sum(not difference.tolerated for difference in found.differences)
    said = {
        Agreement.EXACT: f"exact. Every byte is the same ({generation.digest[:12]}…).",
        Agreement.WITHIN_TOLERANCE: "within tolerance. Measured values differ by at most "
        f"{tolerance:.1%}, everything else is the same.",
        Agreement.DIFFERENT: f"different in {plural(differing, 'place')}.",
    }[found.agreement]
    parts: list[RenderableType] = [Text(f"{name}: {said} It was made on {machine} this one{why}.")]
    if found.differences:
        ordered = sorted(found.differences, key=lambda difference: difference.tolerated)
        columns = (
            Column("where"),
            Column("stored"),
            Column("made again"),
            Column("", shown=lambda tolerated: "within tolerance" if tolerated else "different"),
        )
        rows = [astuple(difference) for difference in ordered[:SHOWN]]
        left = len(ordered) - SHOWN
        parts.append(TerminalTable("", columns, rows, note=f"… and {left} more" if left > 0 else ""))
    data = {
        "run": generation.run,
        "generation": generation.index,
        "digest": generation.digest,
        "agreement": found.agreement,
        "other_machine": found.other_machine,
        "machine_differences": unlike,
        "tolerance": tolerance,
        "differences": found.differences,
    }
    return Output(data, parts, int(found.agreement is Agreement.DIFFERENT))
