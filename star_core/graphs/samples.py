"""What a model writes by itself."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from star_core.architecture import Architecture
from star_core.graphs.files import write_files
from star_core.graphs.liv import Weights
from star_core.graphs.runner import Sampling, Text, generate, opened

SEEDS = range(3)
LENGTH = 120
"""Tokens of a sample, unless its document ends before."""
SAMPLING = Sampling()


def samples(architecture: Architecture, weights: Weights, text: Text) -> list[str]:
    """Beginnings of documents, one for each of ``SEEDS``; the same on one type of machine.

    Args:
        architecture: The compiled genome.
        weights: Of the model, by their names in its state dict.
        text: What its tokens are; documents have a token between them.

    Raises:
        ConfigError: As ``write_graph``.
        OSError: There is no room for the graphs.
    """
    separator = text.separator
    if separator is None:
        return []
    with TemporaryDirectory() as folder:
        write_files(Path(folder), architecture, weights)
        model = opened(Path(folder))
        return [
            "".join(text.decode(generate(model, [separator], LENGTH, SAMPLING, seed, separator)))
            for seed in SEEDS
        ]
