"""The runs that are stored here, as generation files and ledger together have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from star_core.errors import StoreError, nearest
from star_core.population.generation import (
    Generation,
    check_run_name,
    generation_path,
    stored_generations,
)
from star_core.population.ledger import own_params_file

from ..run.paths import RunPaths
from .ledger import read_ledger


def params_of(root: Path, run: str) -> str:
    """The parameter file of a run, as the ledger has it."""
    return own_params_file(root, run)


def stored(root: Path, run: str) -> list[Generation]:
    """The stored generations of a run that must have some.

    Raises:
        StoreError: It has none, or fewer than the ledger says.
    """
    check_run_name(run)
    found = stored_generations(run, root / "data")
    known = read_ledger(RunPaths(str(root), run)).runs
    if run in known and (not found or found[-1].index < known[run].last):
        raise StoreError(
            f"the ledger has generations up to {known[run].last}, here is "
            + (f"{found[-1].index} the last" if found else "none"),
            value=run,
            place=str(generation_path(run, known[run].last, root / "data")),
            fix=f"fetch them (dvc pull --allow-missing), or make them again (star evolve {run})",
        )
    if not found:
        raise StoreError(
            "no generation of this run is stored",
            value=run,
            place=str(root / "data/populations"),
            fix=f"{nearest(run, known)}; a new run begins with star evolve {run}"
            if known
            else f"star evolve {run}",
        )
    return found


def numbered(found: Sequence[Generation], index: int, option: str) -> Generation:
    """One of the stored generations of a run.

    Raises:
        StoreError: None has the index that ``option`` asks for.
    """
    by_index = {generation.index: generation for generation in found}
    if index not in by_index:
        raise StoreError(
            f"run {found[0].run!r} has no such generation stored",
            value=index,
            place=option,
            fix=nearest(index, by_index),
        )
    return by_index[index]
