"""Spec → module: allocates and initialises the LIV that a layer of the compiled spec describes."""

from __future__ import annotations

import torch

from star_core.architecture import Layer
from star_core.livs.featurizers import Featurizer
from star_core.livs.initialisation import initial_weight
from star_core.livs.liv import LIV
from star_core.structures.shapes import Dimensions


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
            for module in liv.modules():
                for weight in module.declared if isinstance(module, LIV | Featurizer) else ():
                    drawn = initial_weight(weight.start, weight.shape, depth, generator)
                    module.get_parameter(weight.name).copy_(drawn)
    return liv
