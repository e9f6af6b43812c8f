"""What ``dvc.lock`` names, and whether DVC's cache, or its remote, holds it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from star_core.errors import StarError, StoreError
from star_core.storage.failures import redact

from ..run.paths import RunPaths

if TYPE_CHECKING:
    from dvc.repo import Repo

INSIDE = "keep the folder in the repository; data/tokens/RUN itself may be a link to another disk"
LOGGERS = ("dvc", "dvc_data", "dvc_objects")
"""Whose level also decides whether a progress bar is drawn, which would break ours."""
_FOLDER = ".dir"
"""How DVC ends the digest of a folder; the object of that name lists the folder's files."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a stage, as ``dvc.lock`` has it.

    Attributes:
        stage: Its stage, e.g. ``generation@main-003``.
        path: Relative to the project folder.
        digest: MD5, by which cache and remote keep it.
    """

    stage: str
    path: str
    digest: str


def repository(paths: RunPaths) -> Path | None:
    """The folder with ``.dvc`` that the project is, or is in, found as DVC finds it; ``None``: none is."""
    for folder in (paths.path().absolute(), *paths.path().absolute().parents):
        if folder.joinpath(".dvc").is_dir():
            return folder
        if folder.is_mount():
            break
    return None


@contextmanager
def opened(paths: RunPaths) -> Iterator[Repo]:
    """The DVC repository of the project, while the block lasts.

    Raises:
        StoreError: Whatever DVC, git or the file system says in the block.
    """
    from dvc.repo import Repo

    for name in LOGGERS:  # what it would log is in what it raises
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with Repo(os.path.realpath(paths.root)) as repo:
            yield repo
    except StarError:
        raise
    except Exception as error:  # DVC passes on those of git, of file systems and of its own libraries
        said = " ".join(f"{error or type(error).__name__}".split())
        raise StoreError(
            f"DVC cannot work here: {redact(said)}",
            place=str((repository(paths) or paths.path()) / ".dvc"),
            fix=_remedy(error),
        ) from error


def _remedy(error: Exception) -> str:
    said = str(error)
    if "not a git repository" in said:
        return "git init; or, to keep versions without git, dvc config core.no_scm true"
    if "outside of git repository" in said:
        return INSIDE
    if isinstance(error, OSError):
        return "let this user read and write it"
    return "mend that (`dvc doctor` and `dvc status` say more), then type the same again"


def locked_outputs(paths: RunPaths) -> list[Output]:
    """All outputs of all stages in ``dvc.lock``; none where that cannot be read."""
    try:
        lock = yaml.safe_load(paths.path("dvc.lock").read_bytes())
        return [
            Output(stage, output["path"], output["md5"])
            for stage, locked in lock["stages"].items()
            for output in locked.get("outs") or ()
        ]
    except (OSError, yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
        return []


def is_here(paths: RunPaths, output: Output) -> bool:
    """Whether the project folder has it. Folders are not compared file by file: that there is one will do."""
    path = paths.path(output.path)
    if output.digest.endswith(_FOLDER):
        return path.is_dir()
    return path.is_file() and md5(path) == output.digest


def md5(path: Path) -> str:
    """The digest by which DVC knows a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def uncached(paths: RunPaths, outputs: Iterable[Output]) -> list[Output]:
    """Those that DVC's cache does not hold, whole.

    Raises:
        StoreError: DVC cannot open the project.
    """
    with opened(paths) as repo:
        cache = repo.cache.local
        return [
            output
            for output in outputs
            if not all(cache.exists(name) for name in objects(cache, output.digest))
        ]


def objects(cache: Any, digest: str) -> list[str]:
    """Names of the objects that an output is made of; of a folder's files, those the cache can tell."""
    found = [digest]
    if digest.endswith(_FOLDER):
        with suppress(OSError, ValueError):
            found += [entry["md5"] for entry in json.loads(Path(cache.oid_to_path(digest)).read_bytes())]
    return found
