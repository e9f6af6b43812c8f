"""A model that a run retrained, with the description that goes with it when it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import star_core
from star_core.config import Training
from star_core.datasets.base import licence_of
from star_core.exported.digests import sha256_of
from star_core.exported.format import ExportFormat, Trained, check_taken
from star_core.exported.manifest import Manifest, Origin, tokens_of
from star_core.semantics import MODEL
from star_core.training.retrained import Retrained


def trained_model(
    run: str, name: str, root: Path, formats: Sequence[ExportFormat], scaled: str | None = None
) -> Trained:
    """The model of an entry of a retraining, found to do what it did when it was trained.

    Args:
        run: Name of the run.
        name: Entry of its retraining: an individual, or a baseline.
        root: The folder of everything DVC tracks.
        formats: It shall be written in.
        scaled: Name of a retraining at another size; ``None``: the run's.

    Raises:
        ConfigError: A name is unknown, or a format does not take the genome.
        StoreError: Weights are missing or damaged.
    """
    retrained = Retrained.read(run, root, scaled)
    (entry,) = retrained.entries([name])
    data, weights = retrained.corpus(root), retrained.weights(entry)
    sha256 = sha256_of(weights) if weights.exists() else ""
    loaded = retrained.load(entry)
    tokens = tokens_of(data.vocab_size, data.meta["separator"], data.has_tokenizer)
    metadata = loaded.metadata
    check_taken(formats, loaded.architecture, tokens)
    model = retrained.model(entry, data)
    recipe = Training.model_validate(retrained.comparison.parameters["training"])
    manifest = Manifest(
        star=star_core.__version__,
        semantics=MODEL,
        genome=metadata["genome"],
        preset=metadata["space"],
        width=model.arch.width,
        head_dim=model.arch.dims.head_dim,
        vocab_size=model.arch.vocab_size,
        architecture=model.arch.digest,
        tokens=tokens,
        origin=Origin(
            run=run,
            name=name,
            data_digest=data.digest,
            tokens=entry.cost.tokens,
            sequence_length=recipe.sequence_length,
            validation_loss=float(metadata["validation_loss"]),
            bytes_per_token=data.metrics.get("bytes_per_token"),
            data=data.meta["sources"],
            licence=licence_of(data.name),
        ),
        weights=sha256,
    )
    return Trained(model, manifest, weights, data.definition)
