"""DVC: the ledger of stored generations, and committing each of them at the barrier.

``dvc.yaml`` has a stage per run (prepare, baselines, founders, retrain, report) and one per stored
generation, made from the entries of ``data/ledger.yaml``. So ``dvc dag`` is the lineage and
``dvc repro generation@main-003`` makes that one again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from flows.session import Where
from star_core.errors import ConfigError, StoreError
from star_core.population.comparison import comparison_path
from star_core.population.files import write_atomically
from star_core.population.generation import generation_path

HEADER = "# Stored generations, written by `star evolve`; dvc.yaml makes a stage of each.\n"


def ledger_path(where: Where) -> Path:
    """The ledger of all runs."""
    return where.data / "ledger.yaml"


def read_ledger(where: Where) -> dict[str, dict[str, Any]]:
    """Runs and generations by name; empty where there is no ledger yet.

    Raises:
        StoreError: It is no YAML mapping of the expected shape.
    """
    path = ledger_path(where)
    fix = f"restore it (git checkout {path})"
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        return {"runs": {}, "generations": {}}
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(
            f"cannot be read: {' '.join(str(error).split())[:200]}", place=str(path), fix=fix
        ) from None
    ledger = content.get("ledger") if isinstance(content, dict) else None
    if not isinstance(ledger, dict) or not all(
        isinstance(ledger.get(part), dict) for part in ("runs", "generations")
    ):
        raise StoreError("a ledger maps runs and generations", value=content, place=str(path), fix=fix)
    return ledger


def enter(where: Where, index: int) -> None:
    """Enters generation ``index`` of a run, and those before it, in the ledger."""
    ledger = read_ledger(where)
    relative = Path("data")

    def file(number: int) -> str:
        return generation_path(where.run, number, relative).as_posix()

    before = {part: dict(entries) for part, entries in ledger.items()}
    known = ledger["runs"].get(where.run, {})
    last = max(index, known.get("last", 0) if isinstance(known.get("last"), int) else 0)
    ledger["runs"][where.run] = {"params": where.params, "last": last, "newest": file(last)}
    for number in range(1, last + 1):
        ledger["generations"][f"{where.run}-{number:03d}"] = {
            "run": where.run,
            "index": number,
            "parent": file(number - 1),
            "out": file(number),
            "params": where.params,
        }
    if ledger != before:
        text = HEADER + yaml.safe_dump({"ledger": ledger}, sort_keys=False)
        write_atomically(ledger_path(where), text.encode())


def stage_of(where: Where, index: int) -> str:
    """The DVC stage that makes a generation."""
    return f"generation@{where.run}-{index:03d}" if index else f"founders@{where.run}"


def is_versioned(where: Where) -> bool:
    """Whether the project folder is a DVC repository with our stages."""
    return where.path(".dvc").is_dir() and where.path("dvc.yaml").is_file()


def check_sections(where: Where) -> None:
    """Raises ``ConfigError`` where the parameter file leaves out a section that DVC watches."""
    stated = yaml.safe_load(where.path(where.params).read_text()) or {}
    for section in ("data", "space", "model", "training", "objectives", "evolution", "retrain"):
        if section not in stated:
            raise ConfigError(
                "DVC watches this section of a run's parameters, so it has to be there, if only empty",
                value=section,
                place=where.params,
                fix=f"add the line `{section}: {{}}`",
            )


def uncommitted(where: Where, last: int) -> list[str]:
    """Stages up to generation ``last`` whose stored file is not the one in ``dvc.lock``."""
    try:
        lock = yaml.safe_load(where.path("dvc.lock").read_text()) or {}
    except (OSError, yaml.YAMLError):
        lock = {}
    entries = lock.get("stages", {}) if isinstance(lock, dict) else {}
    wanted = {f"baselines@{where.run}": comparison_path(where.run, "baselines", where.data)}
    wanted |= {stage_of(where, index): where.generation(index) for index in range(last + 1)}
    missing = [] if f"prepare@{where.run}" in entries else [f"prepare@{where.run}"]
    for stage, path in wanted.items():
        outs = entries.get(stage, {}).get("outs", [{}])
        if not path.exists():
            continue
        if outs[0].get("md5") != hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest():
            missing.append(stage)
    return missing


def commit(where: Where, stages: Iterable[str], attempts: int = 10) -> None:
    """Records stages in ``dvc.lock`` and DVC's cache, as ``dvc commit --force`` does.

    Raises:
        StoreError: DVC refuses, or another DVC command holds its lock for long.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)
    for stage in stages:
        for attempt in range(attempts):
            try:
                Repo(where.root).commit(stage, force=True)
                break
            except LockError as error:
                if attempt == attempts - 1:
                    raise StoreError(
                        f"another DVC command holds the repository ({error})",
                        value=stage,
                        place="dvc.lock",
                        fix="run `star evolve` again when it is done; nothing is lost",
                    ) from error
                time.sleep(1)
            except DvcException as error:
                raise StoreError(
                    f"DVC could not commit the stage: {error}",
                    value=stage,
                    place="dvc.lock",
                    fix="run `star evolve` again; nothing is lost",
                ) from error
