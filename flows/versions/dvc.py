"""DVC: what of a run is not committed yet, and committing it at the barrier between generations.

``dvc.yaml`` has a stage per run (prepare, baselines, founders, retrain, report), one per stored
generation and one per other size it was retrained at, made from the entries of the ledger. So
``dvc dag`` is the lineage and ``dvc repro generation@main-003`` makes that one again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

import yaml

from star_core.config.plain_yaml import ParamsLoader, PlainLoader
from star_core.datasets.tokens import load_tokens
from star_core.errors import ConfigError, StoreError
from star_core.population.comparison import comparison_path
from star_core.population.generation import first_index
from star_core.population.ledger import ledger_path
from star_core.storage.files import require_writable

from ..run.paths import RunPaths
from ..run.session import Session
from .cache import INSIDE, locked_outputs, md5, opened, repository, uncached
from .ledger import enter, enter_scaled, read_ledger, remove

OUTPUTS = ("tokens", "populations", "baselines", "retrain", "reports")
"""Folders below ``data`` that hold outputs of stages."""
STAGES = ("prepare", "baselines", "founders", "forks", "generation", "retrain", "scaled", "report")
"""What ``dvc.yaml`` makes of a run."""
SECTIONS = ("data", "space", "model", "training", "objectives", "evolution", "retrain")
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")


def is_versioned(paths: RunPaths) -> bool:
    """Whether the project folder has our stages and is, or is in, a DVC repository."""
    return paths.path("dvc.yaml").is_file() and repository(paths) is not None


def check(paths: RunPaths) -> None:
    """Finds out before anything is started whether DVC will be able to keep the run.

    Raises:
        ConfigError: The parameter file cannot stand in a stage, or leaves out a watched section.
        StoreError: The ledger is malformed; or DVC, git or a folder of theirs would fail when a generation
            is to be kept.
    """
    read_ledger(paths)
    if not is_versioned(paths):
        return
    if not _PATH.fullmatch(paths.params_file) or ".." in Path(paths.params_file).parts:
        raise ConfigError(
            "under DVC the parameter file is below the project folder, its path relative and of letters, "
            "digits, '_', '-', '.' and '/'",
            value=paths.params_file,
            place="--params",
            fix="copy it there under a plain name",
        )
    stated = yaml.load(paths.path(paths.params_file).read_bytes(), ParamsLoader) or {}
    for section in SECTIONS:
        if section not in stated:
            raise ConfigError(
                "DVC watches this section of a run's parameters, so it has to be there, if only empty",
                value=section,
                place=paths.params_file,
                fix=f"add the line `{section}: {{}}`",
            )
    try_repository(paths)


def try_repository(paths: RunPaths) -> None:
    """Reads the stages and tries to write where DVC does, unless DVC itself runs the command.

    Raises:
        StoreError: DVC, git or a folder refuses.
    """
    if not is_versioned(paths) or "DVC_STAGE" in os.environ:
        return
    from scmrepo.noscm import NoSCM

    check_stages(paths)
    with opened(paths) as repo:
        if ledger_path(paths.data).exists():  # its stages are made of it, and the first generation makes it
            repo.stage.load_all(os.path.realpath(paths.path("dvc.yaml")))
        assert repo.tmp_dir is not None
        for folder in (repo.tmp_dir, repo.site_cache_dir, repo.cache.local.path):
            require_writable(Path(folder))
        for folder in () if isinstance(repo.scm, NoSCM) else (paths.data / name for name in OUTPUTS):
            if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(repo.scm.root_dir)):
                raise StoreError(
                    f"git refuses what is outside of its repository, and this is {os.path.realpath(folder)}",
                    place=str(folder),
                    fix=INSIDE,
                )


def check_stages(paths: RunPaths) -> None:
    """Finds out whether ``dvc.yaml`` has the stages that runs are kept by.

    Raises:
        StoreError: It has not.
    """
    path = paths.path("dvc.yaml")
    fix = "copy the file from the project's repository, or its stages into yours"
    try:
        content = yaml.load(path.read_bytes(), PlainLoader)
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        raise StoreError(f"cannot be read: {said}", place=str(path), fix=fix) from None
    stages = content.get("stages") if isinstance(content, dict) else None
    for name in STAGES:
        if not isinstance(stages, dict) or name not in stages:
            raise StoreError("has no such stage", value=name, place=str(path), fix=fix)


def record(session: Session, last: int) -> None:
    """Enters what is stored up to generation ``last`` in the ledger and commits what DVC lacks.

    The ledger also tells which parameter file a run has, so it is kept without DVC too.

    Raises:
        StoreError: The parameters or the corpus were changed while the run went on, so that DVC would
            record what was not used; or DVC refuses.
    """
    paths = session.paths
    enter(paths, session.params.data.source, last)
    if not is_versioned(paths):
        return
    stages = uncommitted(paths, last)
    if not stages:
        return
    changed = None
    if paths.read_params().identity() != session.params.identity():
        changed = paths.params_file
    elif load_tokens(paths.tokens).digest != session.data.digest:
        changed = str(paths.tokens)
    if changed:
        raise StoreError(
            "changed while the run went on; what is stored was made with what stood there before",
            place=changed,
            fix="restore it and run `star evolve` again; nothing is lost",
        )
    commit(paths, stages)


def record_retraining(paths: RunPaths, path: Path, size: tuple[int, int, str] | None = None) -> None:
    """Commits what ``star retrain`` made, with the defaults of the parameter file or at another size.

    Not where DVC itself runs the command, which commits then, and not for a run that DVC does not know.

    Args:
        paths: The run.
        path: Of the comparison file.
        size: Width, depth and rule of another size; ``None``: the run's own.
    """
    if not is_versioned(paths) or "DVC_STAGE" in os.environ or paths.run not in read_ledger(paths).runs:
        return
    if size is None:
        commit(paths, [f"retrain@{paths.run}"])
        return
    out = path.relative_to(paths.root)
    name = enter_scaled(paths, *size, out.as_posix(), out.with_suffix("").as_posix())
    commit(paths, [f"scaled@{name}"])


def stage_of(paths: RunPaths, index: int) -> str:
    """The DVC stage that makes a generation."""
    fork = read_ledger(paths).forks.get(paths.run)
    if fork is not None and index == fork.index:
        return f"forks@{paths.run}"
    return f"generation@{paths.run}-{index:03d}" if index else f"founders@{paths.run}"


def uncommitted(paths: RunPaths, last: int) -> list[str]:
    """Stages up to generation ``last`` whose stored file ``dvc.lock`` does not name, or DVC's cache lacks.

    Raises:
        StoreError: DVC cannot open the project.
    """
    outputs, first = locked_outputs(paths), first_index(paths.run, paths.data)
    lacking = {output.stage for output in uncached(paths, outputs)}
    kept = {output.stage: output.digest for output in reversed(outputs) if output.stage not in lacking}
    wanted = {f"baselines@{paths.run}": comparison_path(paths.run, "baselines", paths.data)}
    wanted |= {stage_of(paths, index): paths.generation(index) for index in range(first, last + 1)}
    stages = [stage for stage, path in wanted.items() if path.exists() and kept.get(stage) != md5(path)]
    # The corpus is what founders are made from, so it is committed whenever they are.
    corpus = f"prepare@{paths.run}"
    if paths.tokens.exists() and (corpus not in kept or stage_of(paths, first) in stages):
        return [corpus, *stages]
    return stages


def commit(paths: RunPaths, stages: Iterable[str], attempts: int = 10) -> None:
    """Records stages in ``dvc.lock`` and DVC's cache, as ``dvc commit --force`` does.

    Raises:
        StoreError: DVC refuses, or another DVC command holds its lock for long.
    """
    from dvc.lock import LockError

    for stage in stages:
        for left in range(attempts, 0, -1):
            try:
                with opened(paths) as repo:
                    repo.commit(stage, force=True)
                break
            except StoreError as error:
                if isinstance(error.__cause__, LockError) and left > 1:
                    time.sleep(1)
                    continue
                raise StoreError(
                    f"DVC could not commit the stage: {error.rule}",
                    value=stage,
                    place="dvc.lock",
                    fix=f"{error.fix}; then `star evolve` again: nothing is lost",
                ) from error


def forget(paths: RunPaths) -> list[str]:
    """Takes a run out of the ledger and its stages out of ``dvc.lock``; returns those that were there.

    Raises:
        StoreError: DVC refuses, or another DVC command holds its lock.
    """
    if not is_versioned(paths):
        remove(paths)
        return []
    from dvc.utils.serialize import modify_yaml

    path = paths.path("dvc.lock")
    with opened(paths) as repo, repo.lock:
        stages = remove(paths)
        if not path.exists():
            return []
        with modify_yaml(str(path)) as lock:
            locked = lock.get("stages") or {}
            return [stage for stage in stages if locked.pop(stage, None) is not None]
