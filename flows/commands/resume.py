"""``star resume``: on with a stored run, here or in a fresh clone; or a fork of it under another name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from star_core.config import load_params, params_from, stated
from star_core.config.changes import in_identity, with_changes
from star_core.config.plain_yaml import ParamsLoader, to_yaml
from star_core.datasets.tokens import load_tokens
from star_core.errors import ConfigError
from star_core.evolution.base import Problem
from star_core.evolution.step import adopted
from star_core.population.generation import Generation, stored_generations
from star_core.storage.files import write_atomically

from ..run.paths import Fork, RunPaths
from ..versions.stored_runs import numbered, params_of, stored
from .choice import check_name
from .evolve import evolve_command


def resume_run(
    root: Path,
    run: str,
    start: int | None,
    params: str | None,
    changes: Sequence[str],
    generations: int | None,
) -> str:
    """Continues a stored run by its own parameters, but for changes that none of its generations depends on.

    Returns:
        Why it ended before the last generation, as ``evolve_command`` says it.

    Raises:
        ConfigError: Options that only a fork can have.
        StoreError: There is no such run here, or it is not pulled.
    """
    refused = [change for change in changes if in_identity(change)]
    if start is not None or refused or (params is not None and params != params_of(root, run)):
        raise ConfigError(
            "stored generations belong to the parameters they were made with; a fork may have others",
            value=start if start is not None else params or refused,
            place="--from" if start is not None else "--params" if params else "--set",
            fix=f"add --as NAME to fork run {run!r}",
        )
    stored(root, run)
    paths = RunPaths(str(root), run, params_of(root, run), changes=tuple(changes))
    return evolve_command(paths, generations)


def fork_run(
    root: Path,
    run: str,
    start: int | None,
    name: str,
    params: str | None,
    changes: Sequence[str],
    generations: int | None,
) -> str:
    """Begins a run with generation ``start`` of another one, under changed parameters; or goes on with it.

    Returns:
        Why it ended before the last generation, as ``evolve_command`` says it.

    Raises:
        ConfigError: The name is taken by another run, or a parameter is wrong.
        StoreError: The generation is not stored here.
    """
    check_name(root, name)
    found = stored(root, run)
    begun = stored_generations(name, root / "data")
    if start is None:
        start = begun[0].index if begun else found[-1].index
    source = numbered(found, start, "--from")
    if name == run or (begun and not _is_fork_of(begun[0], source)):
        raise ConfigError(
            "another run has this name",
            value=name,
            place="--as",
            fix="choose another name, or `star resume NAME` to go on with that run",
        )
    own, changed = parameter_file(root, run, name, params, changes)
    settings = load_params(root / own) if changed is None else params_from(changed, own)
    adopted(Problem(settings, source.vocab_size), source)  # refused now rather than when all is started
    last = settings.generations if generations is None else generations
    if last < start:
        raise ConfigError(
            f"the last generation asked for is before the one the fork begins with ({start})",
            value=last,
            place="--generations" if generations is not None else f"{own}, generations",
            fix=f"ask for {start + 2}, say: --generations {start + 2}",
        )
    if changed is not None:
        text = f"# Run {name}, forked from run {run}.\n" + to_yaml(changed)
        write_atomically(root / own, text.encode())
    paths = RunPaths(str(root), name, own)
    take_corpus(paths, source)
    return evolve_command(paths, generations, Fork(run, start))


def _is_fork_of(first: Generation, source: Generation) -> bool:
    return first.is_fork and first.parent is not None and first.parent.digest == source.digest


def parameter_file(
    root: Path, run: str, name: str, params: str | None, changes: Sequence[str]
) -> tuple[str, dict[str, Any] | None]:
    """The parameter file of a fork, and what is to be written into it; ``None``: it stays as it is.

    Raises:
        ConfigError: A change is malformed.
    """
    if params is not None:
        if changes:
            raise ConfigError(
                "either a file or single parameters", value=list(changes), place="--set", fix="edit the file"
            )
        return params, None
    own = f"params-{name}.yaml"
    if (root / own).exists() and not changes:
        return own, None
    base = own if (root / own).exists() else params_of(root, run)
    values = yaml.load((root / base).read_bytes(), ParamsLoader) or {}
    return own, with_changes(values, changes)


def take_corpus(paths: RunPaths, source: Generation) -> None:
    """Gives a fork the corpus of the run it comes from, paths that is here and made by the same parameters.

    The text it was once prepared from need not be on this machine.
    """
    theirs = paths.data / "tokens" / source.run
    if paths.tokens.exists() or not theirs.exists():
        return
    data = load_tokens(theirs)
    asked = stated("data", load_params(paths.path(paths.params_file)).data)
    if data.meta.get("data") != asked or data.digest != source.data_digest:
        return
    data.verify()
    # Beside the corpora, which may be linked to another disk.
    with tempfile.TemporaryDirectory(dir=theirs.parent, prefix=f".{paths.run}.", suffix=".tmp") as folder:
        made = Path(folder, "tokens")
        shutil.copytree(theirs, made)
        made.replace(paths.tokens)
