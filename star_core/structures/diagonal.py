"""Diagonal token mixing, a memoryless gated unit: T_ii = W σ(C_i), applied to V.

The channel-mixing gene says what W, from expanded to plain channels, looks like.
"""

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
    Weight,
    dense_output,
    register,
)
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity, TokenMixing


def shape(role: str, group: FeatureGroupGenome, operator: OperatorGenome, dims: Dimensions) -> FeatureShape:
    """Gate and value: ``expansion × D`` channels each."""
    return FeatureShape(1, dims.width * group.expansion)


def states(operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """Nothing is remembered."""
    return ()


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """The gate's nonlinearity (4 per channel) and product."""
    return 5 * shapes["V"].size


def output(operator: OperatorGenome, channels: int, dims: Dimensions) -> Weight:
    """Dense: all to all. Grouped: each head's channels to that head's. Diagonal: each to its own."""
    if operator.channel_mixing is ChannelMixing.DIAGONAL:
        return Weight("output_scale", (channels // dims.width, dims.width))
    if operator.channel_mixing is ChannelMixing.GROUPED:
        return Weight("output", (dims.heads, dims.head_dim, channels // dims.heads))
    return dense_output(operator, channels, dims)


def rules(operator: OperatorGenome, groups: Groups) -> None:
    """Gate and value meet channel by channel, so neither is repeated."""
    for role, group in groups.items():
        if group.repeat != 1:
            raise GenomeError(
                "the groups of a gated unit are not repeated",
                value=group.repeat,
                place=f"featurizer genome {group}, group {role}",
                fix=f"use {str(group)[:5]}1",
            )


DIAGONAL = register(
    Structure(
        token_mixing=TokenMixing.DIAGONAL,
        roles=("C", "V"),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.SWISH, Nonlinearity.RELU, Nonlinearity.NONE),
        channel_mixings=(ChannelMixing.DENSE, ChannelMixing.GROUPED, ChannelMixing.DIAGONAL),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("C",), "gate: parameters only"),
            3: Sharing(("V",), "value: parameters only"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        because={
            "sparsity": "a diagonal has no band to cut",
            "nonlinearity": "softmax over one token is 1",
        },
        matched=(("C", "V"),),
        per_channel=("C", "V"),
        rules=rules,
        output=output,
    )
)
