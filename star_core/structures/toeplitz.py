"""Scaled Toeplitz token mixing, a gated causal convolution: T_ij = C_i K_{i-j} B_j for j <= i."""

from __future__ import annotations

from star_core.genome.featurizer import FeatureGroupGenome
from star_core.genome.operator import OperatorGenome
from star_core.genome.tables import ChannelMixing, Nonlinearity, Sparsity, TokenMixing
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


def shape(role: str, group: FeatureGroupGenome, operator: OperatorGenome, dims: Dimensions) -> FeatureShape:
    """Gates and value: D channels. Filter K: D × taps (explicit) or D × modes (implicit)."""
    if role == "K":
        return FeatureShape(dims.width, group.expansion)
    return FeatureShape(1, dims.width)


def states(groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """Explicit filter: its last inputs. Implicit filter: one complex number per mode and channel."""
    roles, channels, taps = frozenset("BVK"), dims.width, shapes["K"].channels
    if groups["K"].sparsity is Sparsity.BANDED:
        return (State("window", (taps - 1, channels), False, roles),)
    return (State("modes", (channels, taps, 2), False, roles),)


def mixing_flops(groups: Groups, shapes: Shapes, dims: Dimensions, context: int) -> int:
    """Both gates, then 2 per tap, or per mode one complex decay, input and read-out (10)."""
    per_tap = 2 if groups["K"].sparsity is Sparsity.BANDED else 10
    return dims.width * (2 + per_tap * shapes["K"].channels)


TOEPLITZ = register(
    Structure(
        token_mixing=TokenMixing.TOEPLITZ,
        roles=("C", "B", "V", "K"),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.NONE,),
        channel_mixings=(ChannelMixing.DIAGONAL,),
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
        plain=("C", "B", "V"),
    )
)
