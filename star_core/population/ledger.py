"""The ledger: which runs and generations are stored, as ``dvc.yaml`` reads it to make its stages."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from star_core.config import PlainLoader
from star_core.errors import StoreError
from star_core.population.generation import check_run_name

DEFAULT_PARAMS = "params.yaml"
"""The parameter file of runs that have no other."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Run(_Record):
    """A run: its parameter file, its newest generation, and the text it learns from."""

    params: str
    last: int = Field(ge=0, lt=100_000)
    newest: str
    source: str


class Founders(_Record):
    """The founders of a run."""

    params: str


class Forked(_Record):
    """The first generation of a run that was forked from another one's generation."""

    source: str
    index: int = Field(ge=0)
    parent: str
    out: str
    params: str


class Entry(_Record):
    """A generation after the founders, and the file it is made from."""

    run: str
    index: int = Field(ge=1)
    parent: str
    out: str
    params: str


class Scaled(_Record):
    """The best of a run's newest generation, trained at another size."""

    run: str
    params: str
    newest: str
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    by: str
    out: str
    weights: str


class Ledger(_Record):
    """All runs and generations of a project, by name; a run has founders or is a fork."""

    runs: dict[str, Run] = Field(default_factory=dict)
    founders: dict[str, Founders] = Field(default_factory=dict)
    forks: dict[str, Forked] = Field(default_factory=dict)
    generations: dict[str, Entry] = Field(default_factory=dict)
    scaled: dict[str, Scaled] = Field(default_factory=dict)

    def complete(self) -> Ledger:
        """The ledger with founders for every run that is no fork; those of old versions lack them."""
        missing = {
            name: Founders(params=run.params)
            for name, run in self.runs.items()
            if name not in self.founders and name not in self.forks
        }
        return self.model_copy(update={"founders": {**self.founders, **missing}})


def ledger_path(root: Path) -> Path:
    """The ledger of all runs; ``root`` is the folder of everything DVC tracks."""
    return root / "ledger.yaml"


def read_ledger(root: Path) -> Ledger:
    """The ledger; empty where there is none yet.

    Args:
        root: The folder of everything DVC tracks.

    Raises:
        StoreError: It is not what ``star evolve`` writes.
    """
    path = ledger_path(root)

    def refuse(reason: str, key: str = "", value: object = None) -> StoreError:
        place = f"{path}, {key}" if key else str(path)
        return StoreError(reason, value=value, place=place, fix=f"restore it (git checkout {path})")

    try:
        content = yaml.load(path.read_bytes(), Loader=PlainLoader)
    except FileNotFoundError:
        return Ledger()
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise refuse(f"cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict) or set(content) != {"ledger"}:
        raise refuse("a ledger has the one key 'ledger'", value=content)
    try:
        return Ledger.model_validate(content["ledger"]).complete()
    except ValidationError as error:
        first = error.errors()[0]
        raise refuse(first["msg"], ".".join(map(str, first["loc"])), first.get("input")) from None


def own_params_file(project: Path, run: str) -> str:
    """The parameter file of a run, relative to the project folder.

    It is what the ledger names, else ``params-RUN.yaml`` where there is one, else ``params.yaml``.
    """
    known = read_ledger(project / "data").runs.get(check_run_name(run))
    if known is not None:
        return known.params
    own = f"params-{run}.yaml"
    return own if (project / own).exists() else DEFAULT_PARAMS
