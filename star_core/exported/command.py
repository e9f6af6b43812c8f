"""``star export``: the retrained weights of an architecture as a folder to take away."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

import star_core
from star_core import units
from star_core.analysis.terminal.output import say
from star_core.architecture import Architecture
from star_core.config import Training
from star_core.datasets.base import licence_of
from star_core.exported.folder import check_free, export_model, sha256_of
from star_core.exported.format import ExportFormat, Trained, check_taken, formats_of, precisions_of
from star_core.exported.manifest import PROGRAM, Manifest, Origin, Program, tokens_of
from star_core.exported.program import MAX_BATCH, export_program
from star_core.semantics import MODEL
from star_core.training.retrained import Retrained


def export_command(
    run: str,
    name: str,
    root: Path,
    folder: Path,
    scaled: str | None = None,
    program: bool = False,
    formats: Sequence[str] = ("torch",),
    precisions: Sequence[str] = ("f32",),
) -> None:
    """Writes the folder, and says what is in it.

    Args:
        run: Name of the run.
        name: Entry of its retraining: an individual, or a baseline.
        root: The folder of everything DVC tracks.
        folder: Where the model goes; it must be empty or not be there.
        scaled: Name of a retraining at another size; ``None``: the run's.
        program: Whether the forward pass is exported too.
        formats: Names of formats.
        precisions: Of the weights, for the formats that have them.

    Raises:
        ConfigError: Something is in the folder, a name is unknown, or a format does not take the genome.
        StoreError: Weights are missing or damaged, or the folder cannot be written.
    """
    check_free(folder)
    chosen = formats_of(formats, precisions)
    retrained = Retrained.read(run, root, scaled)
    (entry,) = retrained.entries([name])
    data, weights = retrained.corpus(root), retrained.weights(entry)
    sha256 = sha256_of(weights) if weights.exists() else ""
    loaded = retrained.load(entry)
    tokens, metadata = tokens_of(data.vocab_size, data.meta["separator"]), loaded.metadata
    check_taken(chosen, loaded.architecture, tokens)
    model = retrained.model(entry, data)
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
        tokens=tokens,
        origin=Origin(
            run=run,
            name=name,
            data_digest=data.digest,
            tokens=entry.cost.tokens,
            sequence_length=recipe.sequence_length,
            validation_loss=float(metadata["validation_loss"]),
            data=data.meta["sources"],
            licence=licence_of(data.name),
        ),
        weights=sha256,
        program=made,
    )
    unchecked = export_model(folder, Trained(model, manifest, weights), chosen, precisions, content)
    written = ", ".join(_in_words(entry, model.arch, precisions) for entry in chosen)
    said = f"{folder}: {units.count(model.arch.num_parameters)} parameters; {written}"
    if made is not None:
        low, high = made.lengths
        said += f"; {PROGRAM} takes {f'{low} to {high}' if low != high else f'exactly {low}'} tokens"
    say(said)
    for sentence in unchecked:
        say(sentence)


def _in_words(entry: ExportFormat, architecture: Architecture, precisions: Sequence[str]) -> str:
    """E.g. ``gguf (llama, f32, int4)``."""
    several = precisions_of(entry, precisions) if len(entry.precisions) > 1 else ()
    details = ", ".join(filter(None, (entry.kind(architecture), *several)))
    return f"{entry.name} ({details})" if details else entry.name
