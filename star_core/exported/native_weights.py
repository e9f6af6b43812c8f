"""The weights of a Llama or an LFM2 under neutral names, from the model that is one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

from star_core.architecture import Layer
from star_core.exported.native import Native, group_shape
from star_core.models import LanguageModel

Tensors = dict[str, torch.Tensor]


def native_weights(
    model: LanguageModel, found: Native, halves: bool
) -> Iterator[tuple[int, str, torch.Tensor]]:
    """Block, name and tensor of every weight of the blocks, in float32.

    Args:
        model: Its weights are copied.
        found: What its architecture is.
        halves: Whether a rotation turns channels f and f + E / 2 of a head of E, not two adjacent ones.
    """
    for depth, (block, attends) in enumerate(zip(found.blocks, found.attends, strict=True)):
        if block.mixer is None:
            mixer = _no_attention(model, found) if attends else _no_convolution(model, found)
        else:
            layer = model.arch.layers[block.mixer]
            mixer = _attention(model, layer, found, halves) if attends else _convolution(model, layer, found)
        unit = (
            _no_unit(model, found)
            if block.unit is None
            else _unit(model, model.arch.layers[block.unit], found)
        )
        for name, tensor in (mixer | unit).items():
            yield depth, name, tensor.detach().contiguous()


def _attention(model: LanguageModel, layer: Layer, found: Native, halves: bool) -> Tensors:
    def ordered(x: torch.Tensor) -> torch.Tensor:
        if not halves:
            return x
        heads = torch.unflatten(x, 0, (-1, found.head_dim // 2, 2))
        return heads.transpose(1, 2).flatten(0, 2)

    taken = {
        "mixer_norm": _own(model, layer, "norm"),
        "q": ordered(_feature(model, layer, "C", "projection")),
        "k": ordered(_feature(model, layer, "B", "projection")),
        "v": _feature(model, layer, "V", "projection"),
        "o": _own(model, layer, "output"),
    }
    if found.family == "lfm2":
        taken["q_norm"] = ordered(_feature(model, layer, "C", "norm"))
        taken["k_norm"] = ordered(_feature(model, layer, "B", "norm"))
    return taken


def _convolution(model: LanguageModel, layer: Layer, found: Native) -> Tensors:
    taps_DK = _feature(model, layer, "K", "filter").squeeze(1)
    return {
        "mixer_norm": _own(model, layer, "norm"),
        "in": torch.cat([_feature(model, layer, role, "projection") for role in "BCV"]),
        "taps": functional.pad(taps_DK, (0, found.taps - taps_DK.shape[1])).flip(-1),
        "out": _own(model, layer, "output"),
    }


def _unit(model: LanguageModel, layer: Layer, found: Native) -> Tensors:
    missing = found.hidden - group_shape(layer, "V").size
    gate, up = (
        functional.pad(_feature(model, layer, role, "projection"), (0, 0, 0, missing)) for role in "CV"
    )
    down = functional.pad(_own(model, layer, "output"), (0, missing))
    return {"unit_norm": _own(model, layer, "norm"), "gate": gate, "up": up, "down": down}


def _no_attention(model: LanguageModel, found: Native) -> Tensors:
    width, queries, keys = (
        model.arch.width,
        found.heads * found.head_dim,
        found.key_heads * found.head_dim,
    )
    new = model.embedding.new_zeros
    zeros = {
        "mixer_norm": new(width) + 1,
        "q": new(queries, width),
        "k": new(keys, width),
        "v": new(keys, width),
        "o": new(width, queries),
    }
    if found.family == "lfm2":
        zeros |= {name: new(found.head_dim) + 1 for name in ("q_norm", "k_norm")}
    return zeros


def _no_convolution(model: LanguageModel, found: Native) -> Tensors:
    width, new = model.arch.width, model.embedding.new_zeros
    return {
        "mixer_norm": new(width) + 1,
        "in": new(3 * width, width),
        "taps": new(width, found.taps),
        "out": new(width, width),
    }


def _no_unit(model: LanguageModel, found: Native) -> Tensors:
    width, hidden, new = model.arch.width, found.hidden, model.embedding.new_zeros
    return {
        "unit_norm": new(width) + 1,
        "gate": new(hidden, width),
        "up": new(hidden, width),
        "down": new(width, hidden),
    }


def _own(model: LanguageModel, layer: Layer, name: str) -> torch.Tensor:
    return model.get_parameter(f"backbone.layers.{layer.index}.{name}")


def _feature(model: LanguageModel, layer: Layer, role: str, name: str) -> torch.Tensor:
    owner = next(group.weights_of for group in layer.groups if group.role == role)
    return model.get_parameter(f"backbone.layers.{owner}.featurizers.0.{role}.{name}")
