"""``star export``: the retrained weights of an architecture as a folder to take away."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

import star_core
from star_core import units
from star_core.analysis.terminal.output import say
from star_core.config import Training
from star_core.exported.folder import check_free, export_model, sha256_of
from star_core.exported.manifest import PROGRAM, Manifest, Origin, Program, tokens_of
from star_core.exported.program import MAX_BATCH, export_program
from star_core.semantics import MODEL
from star_core.training.retrained import Retrained


def export_command(
    run: str, name: str, root: Path, folder: Path, scaled: str | None = None, program: bool = False
) -> None:
    """Writes the folder, and says what is in it.

    Args:
        run: Name of the run.
        name: Entry of its retraining: an individual, or a baseline.
        root: The folder of everything DVC tracks.
        folder: Where the model goes; it must be empty or not be there.
        scaled: Name of a retraining at another size; ``None``: the run's.
        program: Whether the forward pass is exported too.

    Raises:
        ConfigError: Something is in the folder, the name is unknown, or torch cannot export the pass.
        StoreError: Weights are missing or damaged, or the folder cannot be written.
    """
    check_free(folder)
    retrained = Retrained.read(run, root, scaled)
    (entry,) = retrained.entries([name])
    data, weights = retrained.corpus(root), retrained.weights(entry)
    sha256 = sha256_of(weights) if weights.exists() else ""
    model, metadata = retrained.model(entry, data), retrained.load(entry).metadata
    recipe = Training.model_validate(retrained.comparison.parameters["training"])
    content = made = None
    if program:
        content, lengths = export_program(model, recipe.sequence_length)
        made = Program(
            sha256=hashlib.sha256(content).hexdigest(),
            torch=torch.__version__,
            lengths=lengths,
            batch=(1, MAX_BATCH),
        )
    manifest = Manifest(
        star=star_core.__version__,
        semantics=MODEL,
        genome=metadata["genome"],
        preset=metadata["space"],
        width=model.arch.width,
        head_dim=model.arch.dims.head_dim,
        vocab_size=model.arch.vocab_size,
        architecture=model.arch.digest,
        tokens=tokens_of(data.vocab_size, data.meta["separator"]),
        origin=Origin(
            run=run,
            name=name,
            data_digest=data.digest,
            tokens=entry.cost.tokens,
            sequence_length=recipe.sequence_length,
            validation_loss=float(metadata["validation_loss"]),
        ),
        weights=sha256,
        program=made,
    )
    export_model(folder, manifest, weights, content)
    said = f"{folder}: {units.count(model.arch.num_parameters)} parameters"
    if made is not None:
        low, high = made.lengths
        said += f"; {PROGRAM} takes {f'{low} to {high}' if low != high else f'exactly {low}'} tokens"
    say(said)
