"""Genomes that are a Llama or an LFM2: as their blocks, and their weights under neutral names.

Both architectures are blocks of a mixer and a gated unit; a LIV that has no partner gets one whose weights are
zeros. Attention of Llama reads plain queries and keys, that of LFM2 (arXiv 2511.23404) normed ones, and LFM2 has
gated short convolutions besides. Neither can reuse another layer's features; tied weights are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from star_core.architecture import Architecture, Layer
from star_core.structures.diagonal import DIAGONAL
from star_core.structures.low_rank import LOW_RANK
from star_core.structures.registered import structure_of
from star_core.structures.shapes import FeatureShape
from star_core.structures.toeplitz import TOEPLITZ
from star_core.vocabulary.tables import UNMIXED, ChannelMixing, Nonlinearity, Sparsity

if TYPE_CHECKING:
    import torch

    from star_core.models import LanguageModel

Family = Literal["llama", "lfm2"]
NAMES = {"llama": "Llama", "lfm2": "LFM2"}


class Unmapped(Exception):  # noqa: N818
    """A genome is neither of the two; the message says which LIV, why, and which genomes are."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block: the LIVs that are its mixer and its gated unit, by index; ``None``: zeros stand in its place."""

    mixer: int | None
    unit: int | None


@dataclass(frozen=True, slots=True)
class Native:
    """A genome as a Llama or an LFM2.

    Attributes:
        family: Which of them.
        blocks: In order of depth.
        attends: For each block whether its mixer is attention (otherwise a convolution).
        heads, key_heads, head_dim: Of attention.
        hidden: Channels of a gated unit; narrower ones are filled up with zeros.
        taps: Of a convolution; shorter ones are filled up with zeros.
    """

    family: Family
    blocks: tuple[Block, ...]
    attends: tuple[bool, ...]
    heads: int
    key_heads: int
    head_dim: int
    hidden: int
    taps: int

    @property
    def title(self) -> str:
        """The name of the family, and how much of it is zeros."""
        zeros = sum((block.mixer is None) + (block.unit is None) for block in self.blocks)
        return NAMES[self.family] + (
            f", {zeros} of {2 * len(self.blocks)} half blocks are zeros" if zeros else ""
        )


def native(architecture: Architecture) -> Native:
    """The Llama or LFM2 that computes the same.

    Raises:
        Unmapped: There is none.
    """
    kinds = [_kind(layer) for layer in architecture.layers]
    lfm2 = {"normed attention", "convolution"} & set(kinds)
    if lfm2 and "attention" in kinds:
        at = kinds.index("attention")
        raise Unmapped(
            f"LIV {at + 1} ({architecture.layers[at].liv_class.name}) has no norm of queries and keys, which LFM2 "
            f"has, and Llama has nothing for the {sorted(lfm2)[0]} of LIV {_first(kinds, lfm2) + 1}; use the class "
            "SA-3-Norm, as the preset lfm2-norm does"
        )
    attention = [
        layer for layer, kind in zip(architecture.layers, kinds, strict=True) if kind.endswith("attention")
    ]
    heads, key_heads, head_dim = _heads(attention) if attention else (1, 1, architecture.width)
    if lfm2 and heads * head_dim != architecture.width:
        raise Unmapped(
            f"LIV {attention[0].index + 1} ({attention[0].liv_class.name}) has {heads} heads of {head_dim} channels, "
            f"and those of an LFM2 are as wide as the model ({architecture.width}); use expansion factors of 1"
        )
    units = [
        _shape(layer, "V").size
        for layer, kind in zip(architecture.layers, kinds, strict=True)
        if kind == "unit"
    ]
    taps = [
        _shape(layer, "K").channels
        for layer, kind in zip(architecture.layers, kinds, strict=True)
        if kind == "convolution"
    ]
    blocks = tuple(_blocks(kinds))
    return Native(
        family="lfm2" if lfm2 else "llama",
        blocks=blocks,
        attends=tuple(
            not lfm2 if block.mixer is None else kinds[block.mixer] != "convolution" for block in blocks
        ),
        heads=heads,
        key_heads=key_heads,
        head_dim=head_dim,
        hidden=max(units, default=architecture.width),
        taps=max(taps, default=3),
    )


def _blocks(kinds: list[str]) -> Iterator[Block]:
    mixer: int | None = None
    for index, kind in enumerate(kinds):
        if kind == "unit":
            yield Block(mixer, index)
            mixer = None
        else:
            if mixer is not None:
                yield Block(mixer, None)
            mixer = index
    if mixer is not None:
        yield Block(mixer, None)


def _first(kinds: list[str], wanted: set[str]) -> int:
    return next(index for index, kind in enumerate(kinds) if kind in wanted)


def _heads(layers: list[Layer]) -> tuple[int, int, int]:
    """Heads, key-value heads and channels per head, which all attention of a model has in common."""
    found: dict[tuple[int, int, int], Layer] = {}
    for layer in layers:
        queries, keys = _shape(layer, "C"), _shape(layer, "B")
        found.setdefault((queries.heads, keys.heads, queries.channels), layer)
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise Unmapped(
            f"LIVs {first.index + 1} ({first.liv_class.name}) and {second.index + 1} ({second.liv_class.name}) have "
            "attention of different heads, which all of a Llama or LFM2 has in common; use one class of attention, "
            "as the preset lfm2-norm does"
        )
    return next(iter(found))


def _shape(layer: Layer, role: str) -> FeatureShape:
    return next(group.shape for group in layer.groups if group.role == role)


_PLAIN = (UNMIXED, Sparsity.NONE, Nonlinearity.NONE, ChannelMixing.DENSE)
_NORMED = (UNMIXED, Sparsity.NONE, Nonlinearity.NORM, ChannelMixing.DENSE)


def _kind(layer: Layer) -> str:
    """``attention``, ``normed attention``, ``convolution`` or ``unit``.

    Raises:
        Unmapped: Neither architecture has such a layer.
    """
    name = f"LIV {layer.index + 1} ({layer.liv_class.name})"
    for group in layer.groups:
        if group.computed_by != layer.index:
            raise Unmapped(
                f"{name} reuses features of LIV {group.computed_by + 1}, and every layer of a Llama or LFM2 computes "
                "its own; use feature-sharing strategy 1"
            )
    kind = None if layer.liv_class.differential else _operator(layer)
    if kind is None:
        raise Unmapped(
            f"{name} is in neither Llama (plain softmax attention, gated units) nor LFM2 (normed attention, short "
            "convolutions, gated units); genomes of the preset lfm2-norm that reuse no features are LFM2s"
        )
    return kind


def _operator(layer: Layer) -> str | None:
    operator = layer.liv_class.operator
    structure = structure_of(operator.token_mixing)
    groups = {group.role: group.genome for group in layer.groups}
    made = {
        role: (genome.token_mixing, genome.sparsity, genome.nonlinearity, genome.channel_mixing)
        for role, genome in groups.items()
    }
    dense = {role for role, how in made.items() if how == _PLAIN}
    if structure is DIAGONAL:
        swish = operator.nonlinearity is Nonlinearity.SWISH
        return (
            "unit" if swish and operator.channel_mixing is ChannelMixing.DENSE and dense == {*"CV"} else None
        )
    if structure is TOEPLITZ:
        short = groups["K"].sparsity is Sparsity.BANDED and operator.channel_mixing is ChannelMixing.DIAGONAL
        return "convolution" if short and dense == {*"CBV"} else None
    if structure is not LOW_RANK or (operator.nonlinearity, operator.sparsity) != (
        Nonlinearity.SOFTMAX,
        Sparsity.NONE,
    ):
        return None
    equal = len({_shape(layer, role).channels for role in "CBV"}) == 1
    if not equal or groups["C"].repeat != 1 or groups["B"].repeat != groups["V"].repeat:
        return None
    if dense == {*"CBV"}:
        return "attention"
    return "normed attention" if dense == {"V"} and made["C"] == made["B"] == _NORMED else None


def native_weights(
    model: LanguageModel, found: Native, halves: bool
) -> Iterator[tuple[int, str, torch.Tensor]]:
    """Block, name and tensor of every weight of the blocks, in float32.

    Args:
        model: Its weights are copied.
        found: What its architecture is.
        halves: Whether a rotation turns channel f with channel f + E / 2 of a head of E, not two adjacent ones.
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


Tensors = dict[str, "torch.Tensor"]


def _attention(model: LanguageModel, layer: Layer, found: Native, halves: bool) -> Tensors:
    def ordered(x: torch.Tensor) -> torch.Tensor:
        if not halves:
            return x
        heads = x.unflatten(0, (-1, found.head_dim // 2, 2))
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
    import torch
    from torch.nn import functional

    taps_DK = _feature(model, layer, "K", "filter").squeeze(1)
    return {
        "mixer_norm": _own(model, layer, "norm"),
        "in": torch.cat([_feature(model, layer, role, "projection") for role in "BCV"]),
        "taps": functional.pad(taps_DK, (0, found.taps - taps_DK.shape[1])).flip(-1),
        "out": _own(model, layer, "output"),
    }


def _unit(model: LanguageModel, layer: Layer, found: Native) -> Tensors:
    from torch.nn import functional

    missing = found.hidden - _shape(layer, "V").size
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
    return {
        "mixer_norm": new(width) + 1,
        "q": new(queries, width),
        "k": new(keys, width),
        "v": new(keys, width),
        "o": new(width, queries),
    }


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
