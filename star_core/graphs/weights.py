"""Weights of a model by their names in its state dict, without torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from star_core.architecture import Architecture


def weight_shapes(architecture: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight, each once."""
    yield "embedding", (architecture.vocab_size, architecture.width)
    yield "backbone.norm", (architecture.width,)
    for name, weight in architecture.named_weights():
        yield name, weight.shape


def random_weights(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers that cost what trained ones cost, and leave every activation finite."""
    numbers = np.random.default_rng(seed)
    return {
        name: numbers.standard_normal(shape, np.float32) / np.float32(max(1, shape[-1]) ** 0.5)
        for name, shape in weight_shapes(architecture)
    }
