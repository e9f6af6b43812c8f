"""A comparison: named architectures trained by one recipe, stored as one JSON file.

The baselines of a run (trained by its own recipe) and the retrained best (trained longer) are both
comparisons.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from star_core.errors import StarError, StoreError
from star_core.evaluation import Status
from star_core.genome.backbone import Genome
from star_core.population.generation import check_run_name
from star_core.population.individual import Cost
from star_core.storage.sealed import Digest, Record, Sealed

Purpose = Literal["baselines", "retrain", "scaled"]


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


class Comparison(Sealed):
    """Architectures trained by one recipe.

    Attributes:
        run: The run it belongs to.
        purpose: ``baselines``, ``retrain``, or ``scaled``: at the size that the parameters state, or of one
            individual that was picked.
        parameters: The parameters it depends on.
        data_digest: Digest of the prepared corpus.
        generation: Digest of the generation that retrained individuals were taken from.
        entries: In a stated order: baselines first, then individuals by perplexity.
    """

    FORMAT = "star-comparison"
    VERSION = 1

    format: Literal["star-comparison"] = "star-comparison"
    version: Literal[1] = 1
    run: str
    purpose: Purpose
    parameters: dict[str, Any]
    data_digest: Digest
    generation: Digest | None = None
    entries: tuple[Entry, ...] = Field(min_length=1)


def comparison_path(run: str, purpose: str, root: str | Path = "data", name: str | None = None) -> Path:
    """Where a comparison is stored; ``name`` tells several of one purpose apart."""
    return Path(root) / purpose / check_run_name(run) / f"{name or purpose}.json"


def read_comparison(path: Path, run: str, purpose: str) -> Comparison:
    """Reads and checks a comparison.

    Raises:
        StoreError: Missing, malformed, tampered with, of another version or another run's.
    """
    place, fix = str(path), f"delete {path} to compute it again"
    comparison = Comparison.read(path, fix)
    if (comparison.run, comparison.purpose) != (run, purpose):
        found = f"{comparison.purpose} of run {comparison.run}"
        raise StoreError(f"this place holds the {purpose} of run {run!r}", value=found, place=place, fix=fix)
    for entry in comparison.entries:
        try:
            Genome.parse(entry.genome)
        except StarError as error:
            raise error.at(f"{place}, {entry.name}") from None
    return comparison


def stored_baselines(
    run: str, root: str | Path, parameters: dict[str, Any], data_digest: str | None = None
) -> Comparison | None:
    """The baselines of a run, if they are stored and of this very experiment.

    Args:
        run: Name of the run.
        root: The folder of everything DVC tracks.
        parameters: What the experiment depends on (``Params.identity``).
        data_digest: Of its corpus; ``None`` if that does not matter.
    """
    path = comparison_path(run, "baselines", root)
    found = read_comparison(path, run, "baselines") if path.exists() else None
    if found is None or found.parameters != parameters:
        return None
    return found if data_digest in (None, found.data_digest) else None
