"""What ``dvc.lock`` names, and whether DVC's cache, or its remote, holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from star_core.errors import StoreError

from ..run.paths import RunPaths
from .repository import repository

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


def locked_outputs(paths: RunPaths) -> list[Output]:
    """All outputs of all stages in ``dvc.lock``; none where that cannot be read."""
    try:
        lock = yaml.safe_load(paths.path("dvc.lock").read_text())
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
    from dvc.exceptions import DvcException

    try:
        with repository(paths.root) as repo:
            cache = repo.cache.local
            return [
                output
                for output in outputs
                if not all(cache.exists(name) for name in objects(cache, output.digest))
            ]
    except DvcException as error:
        raise StoreError(
            f"DVC cannot open the project: {' '.join(str(error).split())}",
            place=str(paths.path(".dvc")),
            fix="dvc doctor",
        ) from error


def objects(cache: Any, digest: str) -> list[str]:
    """Names of the objects that an output is made of; of a folder's files, those the cache can tell."""
    found = [digest]
    if digest.endswith(_FOLDER):
        with suppress(OSError, ValueError):
            found += [entry["md5"] for entry in json.loads(Path(cache.oid_to_path(digest)).read_bytes())]
    return found
