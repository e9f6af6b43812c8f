"""Weights of a model by their names in its state dict, without torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from star_core.architecture import Architecture


def weight_shapes(architecture: Architecture) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every weight, each once."""
    yield "embedding", (architecture.vocab_size, architecture.width)
    yield "backbone.norm", (architecture.width,)
    for layer in architecture.layers:
        place = f"backbone.layers.{layer.index}"
        for weight in layer.weights:
            yield f"{place}.{weight.name}", weight.shape
        for branch in range(layer.branches):
            for group in layer.groups:
                for weight in group.weights if group.weights_of == layer.index else ():
                    yield f"{place}.featurizers.{branch}.{group.role}.{weight.name}", weight.shape


def random_weights(architecture: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers that cost what trained ones cost, and leave every activation finite."""
    numbers = np.random.default_rng(seed)
    return {
        name: numbers.standard_normal(shape, np.float32) / np.float32(max(1, shape[-1]) ** 0.5)
        for name, shape in weight_shapes(architecture)
    }
