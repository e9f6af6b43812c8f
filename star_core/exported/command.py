"""``star export``: the retrained weights of an architecture as a folder to take away."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from star_core import units
from star_core.analysis.terminal.output import say
from star_core.architecture import Architecture
from star_core.exported.folder import check_free, export_model
from star_core.exported.format import ExportFormat, formats_of, precisions_of
from star_core.exported.manifest import PROGRAM, Program
from star_core.exported.program import MAX_BATCH, export_program
from star_core.exported.trained import trained_model


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
    trained = trained_model(run, name, root, chosen, scaled)
    model, manifest = trained.model, trained.manifest
    content = made = None
    if program:
        content, lengths = export_program(model, manifest.origin.sequence_length)
        made = Program(
            sha256=hashlib.sha256(content).hexdigest(),
            torch=torch.__version__,
            lengths=lengths,
            batch=(1, MAX_BATCH),
        )
        trained = replace(trained, manifest=manifest.model_copy(update={"program": made}))
    unchecked = export_model(folder, trained, chosen, precisions, content)
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
