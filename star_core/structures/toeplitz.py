"""Scaled Toeplitz token mixing, a gated causal convolution: T_ij = C_i K_{i-j} B_j for j <= i."""

from __future__ import annotations

from star_core.errors import GenomeError
from star_core.structures.base import (
    Dimensions,
    FeatureShape,
    Groups,
    Shapes,
    Sharing,
    State,
    Structure,
    register,
)
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity, TokenMixing


def shape(role: str, group: FeatureGroupGenome, operator: OperatorGenome, dims: Dimensions) -> FeatureShape:
    """Gates and value: D channels. Filter K: a number per tap, or modes (implicit), and pair of channels.

    K_t is a D × D matrix per tap: diagonal, a block per head, or dense, as the channel-mixing gene says.
    """
    if role == "K":
        return FeatureShape(dims.width * _block(operator, dims), group.expansion)
    return FeatureShape(1, dims.width)


def _block(operator: OperatorGenome, dims: Dimensions) -> int:
    """Channels that one channel of the convolution reads."""
    if operator.channel_mixing is ChannelMixing.DIAGONAL:
        return 1
    return dims.head_dim if operator.channel_mixing is ChannelMixing.GROUPED else dims.width


def states(operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """Explicit filter: its last inputs. Implicit filter: one complex number per mode and channel."""
    roles, channels, taps = frozenset("BVK"), dims.width, shapes["K"].channels
    if groups["K"].sparsity is Sparsity.BANDED:
        return (State("window", (taps - 1, channels), False, roles),)
    return (State("modes", (channels, taps, 2), False, roles),)


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """Both gates, then 2 per tap, or per mode one complex decay, input and read-out (10)."""
    per_tap = 2 if groups["K"].sparsity is Sparsity.BANDED else 10
    return 2 * dims.width + per_tap * shapes["K"].size


def rules(operator: OperatorGenome, groups: Groups) -> None:
    """Only a filter of explicit taps mixes channels."""
    if operator.channel_mixing is not ChannelMixing.DIAGONAL and groups["K"].sparsity is Sparsity.NONE:
        raise GenomeError(
            "an implicit filter is diagonal over channels (1): one set of modes per channel",
            value=int(operator.channel_mixing),
            place=f"operator genome {operator}, gene 5 (channel_mixing)",
            fix="use 1, or a featurizer with an explicit filter, e.g. 7",
        )


TOEPLITZ = register(
    Structure(
        token_mixing=TokenMixing.TOEPLITZ,
        roles=("C", "B", "V", "K"),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.NONE,),
        channel_mixings=(ChannelMixing.DIAGONAL, ChannelMixing.GROUPED, ChannelMixing.DENSE),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("B", "V", "K"), "input gate, value and filter: no filter state of its own"),
            3: Sharing(("B",), "input gate: parameters only"),
            4: Sharing(("C",), "output gate: parameters only"),
            5: Sharing(("K",), "filter: parameters only"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        because={
            "sparsity": "its band is that of its filter, sparsity 2 of featurizer group K",
            "nonlinearity": "a filter is free to take any value",
        },
        plain=("C", "B", "V"),
        per_channel=("C", "B", "V"),
        rules=rules,
    )
)
