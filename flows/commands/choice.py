"""Which run a command works on, and under which parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from star_core.config import load_params, params_from
from star_core.config.changes import in_identity, with_changes
from star_core.config.plain_yaml import ParamsLoader, to_yaml
from star_core.errors import ConfigError, StarError
from star_core.population.generation import (
    check_new_run_name,
    first_index,
    generation_path,
)
from star_core.population.ledger import own_params_file, read_ledger
from star_core.storage.files import write_atomically

from ..run.paths import RunPaths


def chosen(root: Path, run: str, params: str | None, changes: Sequence[str]) -> RunPaths:
    """A run under its parameters, some of which are changed for this call.

    Raises:
        StoreError: A run that is not stored cannot have this name.
    """
    check_name(root, run)
    return RunPaths(str(root), run, params or own_params_file(root, run), changes=tuple(changes))


def kept(root: Path, run: str, params: str | None, changes: Sequence[str]) -> RunPaths:
    """The same, where no change may be one that stored generations depend on.

    Raises:
        ConfigError: One is.
    """
    paths = chosen(root, run, params, changes)
    for change in filter(in_identity, changes):
        raise _belongs(paths, change)
    return paths


def begun(root: Path, run: str, params: str | None, changes: Sequence[str]) -> RunPaths:
    """The same, where changes of the other kind begin a new run: they are written to ``params-RUN.yaml``.

    Raises:
        ConfigError: Generations of the run are stored, which belong to other values; or the file is there
            and says something else.
    """
    lasting = [change for change in changes if in_identity(change)]
    paths = chosen(root, run, params, [change for change in changes if change not in lasting])
    if not lasting:
        return paths
    file = paths.path(paths.params_file)
    values: dict[str, Any] = {}
    if file.exists() or params is not None:
        before = load_params(file)
        if load_params(file, lasting).identity() == before.identity():
            return paths
        values = yaml.load(file.read_bytes(), ParamsLoader) or {}
    changed = with_changes(values, lasting)
    wanted = params_from(changed, paths.params_file)
    if generation_path(run, first_index(run, paths.data), paths.data).exists():
        raise _belongs(paths, lasting[0])
    own = f"params-{run}.yaml"
    if paths.path(own).exists() and paths.params_file != own:
        raise ConfigError("is there already", value=own, place="--set", fix=f"add --params {own}")
    header = f"# Run {run}.\n"
    if paths.path(own).exists() and not paths.path(own).read_bytes().startswith(b"# Run "):
        raise ConfigError(
            "this file was not made by --set, and would lose its comments",
            value=own,
            place="--set",
            fix="edit it instead",
        )
    from .preparation import check_params  # imports much, which other commands need not

    try:
        check_params(wanted)  # what is refused leaves no file behind
    except StarError as error:
        raise error.at("--set") from None
    write_atomically(paths.path(own), (header + to_yaml(changed)).encode())
    return RunPaths(paths.root, run, own, changes=paths.changes)


def check_name(root: Path, run: str) -> None:
    """Finds out before anything is started whether a run may have its name.

    Raises:
        StoreError: It may not, and is not one of the stored runs.
    """
    data = root / "data"
    if not generation_path(run, 0, data).parent.exists() and run not in read_ledger(data).runs:
        check_new_run_name(run)


def _belongs(paths: RunPaths, change: str) -> ConfigError:
    return ConfigError(
        "stored generations belong to the parameters they were made with; a fork may have others",
        value=change,
        place="--set",
        fix=f"star resume {paths.run} --as NAME --set {change}",
    )
