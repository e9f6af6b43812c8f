"""A comparison: named architectures trained by one recipe, stored as one JSON file.

The baselines of a run (trained by its own recipe) and the retrained best (trained longer) are both
comparisons.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from star_core.config import digest_json
from star_core.errors import StarError, StoreError
from star_core.evaluation import Status
from star_core.genome.backbone import Genome
from star_core.population.files import read_json, write_atomically
from star_core.population.generation import check_run_name
from star_core.population.individual import Cost, Digest, Record

FORMAT = "star-comparison"
VERSION = 1


class Entry(Record):
    """One architecture of a comparison.

    Attributes:
        name: A baseline's name, or an individual's.
        genome: Text.
        key: Its evaluation in the store.
        objectives: Name → value; ``None`` where training failed.
        checkpoint: File name of its weights beside the comparison; ``None`` if none were kept.
    """

    name: str
    genome: str
    digest: Digest
    key: Digest
    status: Status
    objectives: dict[str, float | None]
    cost: Cost
    checkpoint: str | None = None


class Comparison(Record):
    """Architectures trained by one recipe.

    Attributes:
        run: The run it belongs to.
        purpose: ``baselines`` or ``retrain``.
        parameters: The parameters it depends on.
        data_digest: Digest of the prepared corpus.
        generation: Digest of the generation that retrained individuals were taken from.
        entries: In a stated order: baselines first, then individuals by perplexity.
    """

    format: Literal["star-comparison"] = "star-comparison"
    version: Literal[1] = 1
    run: str
    purpose: Literal["baselines", "retrain"]
    parameters: dict[str, Any]
    data_digest: Digest
    generation: Digest | None = None
    entries: tuple[Entry, ...] = Field(min_length=1)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content; stored in the file and checked when it is read."""
        return digest_json(self.model_dump(mode="json"))

    def to_bytes(self) -> bytes:
        """The file: canonical, so equal comparisons are equal bytes."""
        content = {**self.model_dump(mode="json"), "digest": self.digest}
        return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def comparison_path(run: str, purpose: str, root: str | Path = "data") -> Path:
    """Where a comparison is stored."""
    return Path(root) / purpose / check_run_name(run) / f"{purpose}.json"


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Stores a comparison: whole or not at all."""
    write_atomically(path, comparison.to_bytes())


def read_comparison(path: Path, run: str, purpose: str) -> Comparison:
    """Reads and checks a comparison.

    Raises:
        StoreError: Missing, malformed, tampered with, of another version or another run's.
    """
    place, fix = str(path), f"delete {path} to compute it again"
    content = read_json(path)
    stated = content.pop("digest", None) if isinstance(content, dict) else None
    try:
        comparison = Comparison.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        raise StoreError(
            first["msg"][0].lower() + first["msg"][1:],
            value=first.get("input"),
            place=f"{place}, {'.'.join(map(str, first['loc']))}",
            fix=fix,
        ) from None
    if stated != comparison.digest:
        raise StoreError("the content was changed: its digest differs", value=stated, place=place, fix=fix)
    if (comparison.run, comparison.purpose) != (run, purpose):
        found = f"{comparison.purpose} of run {comparison.run}"
        raise StoreError(f"this place holds the {purpose} of run {run!r}", value=found, place=place, fix=fix)
    for entry in comparison.entries:
        try:
            Genome.parse(entry.genome)
        except StarError as error:
            raise error.at(f"{place}, {entry.name}") from None
    return comparison
