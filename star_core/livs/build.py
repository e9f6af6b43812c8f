"""Spec → module: allocates and initialises the LIV that a layer of the compiled spec describes."""

from __future__ import annotations

import torch

from star_core.architecture import Layer
from star_core.livs.initialisation import initial_weight
from star_core.livs.liv import LIV
from star_core.structures.base import Dimensions


def build_liv(
    layer: Layer,
    dims: Dimensions,
    depth: int,
    generator: torch.Generator,
    device: torch.device,
    dtype: torch.dtype,
) -> LIV:
    """The module of one layer.

    Args:
        layer: Its spec: class, feature groups with their sharing, weights, states.
        dims: Width and head size.
        depth: LIVs of the whole backbone.
        generator: On the CPU; draws the weights in the order of the spec.
        device: Where the weights go; ``meta`` allocates none and draws nothing.
        dtype: Of the weights.
    """
    liv = LIV(layer, dims, device, dtype)
    if device.type != "meta":
        with torch.no_grad():
            for path, parameter in liv.named_parameters():
                name = path.rpartition(".")[2]
                parameter.copy_(initial_weight(name, tuple(parameter.shape), depth, generator))
    return liv
