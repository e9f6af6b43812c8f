"""Models to export without a run, all of whose weights are at work."""

from __future__ import annotations

from pathlib import Path

import torch

from star_core import Genome, build_model, compile_genome
from star_core.exported.format import Trained
from star_core.exported.manifest import Manifest, Origin, tokens_of
from star_core.semantics import MODEL

NOWHERE = Path("no checkpoint is read")


def trained(genome, space, width=16, head_dim=None, vocab_size=256, separator=0):
    """A model whose norms, biases and λ are moved away from their start, and its description."""
    genome = Genome.parse(genome) if isinstance(genome, str) else genome
    architecture = compile_genome(genome, space, width, head_dim, vocab_size)
    model, noise = build_model(architecture), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise)
    manifest = Manifest(
        star="0.1.0",
        semantics=MODEL,
        genome=str(genome),
        preset="extended",
        width=width,
        head_dim=architecture.dims.head_dim,
        vocab_size=vocab_size,
        architecture=architecture.digest,
        tokens=tokens_of(vocab_size, separator),
        origin=Origin(
            run="main",
            name="g000-00",
            data_digest="0" * 64,
            tokens=1000,
            sequence_length=128,
            validation_loss=2.0,
        ),
        weights="0" * 64,
    )
    return Trained(model.eval(), manifest, NOWHERE)
