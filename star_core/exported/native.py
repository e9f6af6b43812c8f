"""Genomes that are a Llama or an LFM2, as the blocks of one.

Both architectures are blocks of a mixer and a gated unit; a LIV that has no partner gets one whose weights
are zeros. Attention of Llama reads plain queries and keys, that of LFM2 (arXiv 2511.23404) normed ones, and
LFM2 has gated short convolutions besides. Neither reuses another layer's features; tied weights are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from star_core.architecture import Architecture, Layer
from star_core.structures.diagonal import DIAGONAL
from star_core.structures.low_rank import LOW_RANK
from star_core.structures.registered import structure_of
from star_core.structures.shapes import FeatureShape
from star_core.structures.toeplitz import TOEPLITZ
from star_core.vocabulary.tables import UNMIXED, ChannelMixing, Nonlinearity, Sparsity

Family = Literal["llama", "lfm2"]
NAMES = {"llama": "Llama", "lfm2": "LFM2"}


class Unmapped(Exception):  # noqa: N818
    """A genome is neither of the two; the message says which LIV, why, and which genomes are."""


@dataclass(frozen=True, slots=True)
class Block:
    """The LIVs that are the mixer and the gated unit of a block, by index; ``None``: zeros are there."""

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

    def called(self, name: str) -> str:
        """A name for it, and how much of it is zeros."""
        zeros = sum((block.mixer is None) + (block.unit is None) for block in self.blocks)
        return name + (f", {zeros} of {2 * len(self.blocks)} half blocks are zeros" if zeros else "")


def native(architecture: Architecture) -> Native:
    """The Llama or LFM2 that computes the same.

    Raises:
        Unmapped: There is none.
    """
    layers = architecture.layers
    kinds = [_kind(layer) for layer in layers]
    of_lfm2 = [layer for layer, kind in zip(layers, kinds, strict=True) if kind not in ("attention", "unit")]
    attention = [layer for layer, kind in zip(layers, kinds, strict=True) if kind.endswith("attention")]
    if of_lfm2 and "attention" in kinds:
        plain = layers[kinds.index("attention")]
        raise Unmapped(
            f"{_name(plain)} has no norm of queries and keys, as LFM2 has, and Llama "
            f"has nothing like {_name(of_lfm2[0])}; use the class SA-3-Norm, as the preset lfm2-norm does"
        )
    dims = architecture.dims
    heads, key_heads, head_dim = _heads(attention) if attention else (dims.heads, 1, dims.head_dim)
    if of_lfm2 and heads * head_dim != architecture.width:
        raise Unmapped(
            f"{_name(attention[0])} has {heads} heads of {head_dim} channels, and those of an LFM2 are as "
            f"wide as the model ({architecture.width}); use an expansion factor of 1"
        )
    blocks = list(_blocks(kinds))
    attends = [
        not of_lfm2 if block.mixer is None else kinds[block.mixer] != "convolution" for block in blocks
    ]
    # Runtimes of LFM2 want a layer of each kind: caches of transformers count tokens in one of attention, and
    # llama.cpp aborts.
    if of_lfm2 and len(set(attends)) == 1:
        blocks.append(Block(None, None))
        attends.append(not attends[0])
    return Native(
        family="lfm2" if of_lfm2 else "llama",
        blocks=tuple(blocks),
        attends=tuple(attends),
        heads=heads,
        key_heads=key_heads,
        head_dim=head_dim,
        hidden=_largest(layers, kinds, "unit", "V", architecture.width),
        taps=_largest(layers, kinds, "convolution", "K", 3),
    )


def _largest(layers: Sequence[Layer], kinds: Sequence[str], kind: str, role: str, default: int) -> int:
    """The most channels that a feature group has in layers of a kind; taps, if it is a filter."""
    sizes = [
        group_shape(layer, role).channels for layer, own in zip(layers, kinds, strict=True) if own == kind
    ]
    return max(sizes, default=default)


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


def _heads(layers: list[Layer]) -> tuple[int, int, int]:
    """Heads, key-value heads and channels per head, which all attention of a model has in common."""
    found: dict[tuple[int, int, int], Layer] = {}
    for layer in layers:
        queries, keys = group_shape(layer, "C"), group_shape(layer, "B")
        found.setdefault((queries.heads, keys.heads, queries.channels), layer)
    if len(found) > 1:
        first, second = list(found.values())[:2]
        raise Unmapped(
            f"{_name(first)} and {_name(second)} differ in their heads, which all attention of a Llama or "
            "LFM2 has in common; use one class of attention, as the preset lfm2-norm does"
        )
    return next(iter(found))


def group_shape(layer: Layer, role: str) -> FeatureShape:
    """The shape of a feature group of a layer."""
    return next(group.shape for group in layer.groups if group.role == role)


_PLAIN = (UNMIXED, Sparsity.NONE, Nonlinearity.NONE, ChannelMixing.DENSE)
_NORMED = (UNMIXED, Sparsity.NONE, Nonlinearity.NORM, ChannelMixing.DENSE)


def _kind(layer: Layer) -> str:
    """``attention``, ``normed attention``, ``convolution`` or ``unit``.

    Raises:
        Unmapped: Neither architecture has such a layer.
    """
    for group in layer.groups:
        if group.computed_by != layer.index:
            raise Unmapped(
                f"{_name(layer)} reuses features of LIV {group.computed_by + 1}, and every layer of a Llama "
                "or LFM2 computes its own; use feature-sharing strategy 1"
            )
    kind = None if layer.liv_class.differential else _operator(layer)
    if kind is None:
        raise Unmapped(
            f"{_name(layer)} is in neither Llama (plain softmax attention, gated units) nor LFM2 (normed "
            "attention, short convolutions, gated units); genomes of the preset lfm2-norm that reuse no "
            "features are LFM2s"
        )
    return kind


def _name(layer: Layer) -> str:
    return f"LIV {layer.index + 1} ({layer.liv_class.name})"


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
    equal = len({group_shape(layer, role).channels for role in "CBV"}) == 1
    if not equal or groups["C"].repeat != 1 or groups["B"].repeat != groups["V"].repeat:
        return None
    if dense == {*"CBV"}:
        return "attention"
    return "normed attention" if dense == {"V"} and made["C"] == made["B"] == _NORMED else None
