"""Diagonal token mixing, a memoryless gated unit: T_ii = W σ(C_i), applied to V.

The channel-mixing gene says what W, from expanded to plain channels, looks like.
"""

from __future__ import annotations

from star_core.errors import GenomeError
from star_core.structures.base import ClassRow, Family, FeaturizerRow, Sharing, Structure, dense_output
from star_core.structures.feature_groups import READ, VALUE
from star_core.structures.registered import register
from star_core.structures.shapes import Dimensions, FeatureShape, Groups, Shapes, Start, State, Weight
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity


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
        return Weight("output_scale", (channels // dims.width, dims.width), Start.OUTPUT_SIGNS)
    if operator.channel_mixing is ChannelMixing.GROUPED:
        size = (dims.heads, dims.head_dim, channels // dims.heads)
        return Weight("output", size, Start.OUTPUT, decayed=True)
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


def words(operator: OperatorGenome) -> str:
    """E.g. ``gated unit, swish gate, map dense``."""
    linear = operator.nonlinearity is Nonlinearity.NONE
    gate = "linear" if linear else operator.nonlinearity.words
    return f"gated unit, {gate} gate, map {operator.channel_mixing.words}"


DIAGONAL = register(
    Structure(
        allele=1,
        name="diagonal",
        meaning="diagonal",
        family=Family("gated unit", 3),
        stems={"GMemless": "G"},
        features=(READ, VALUE),
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
        words=words,
        featurizers={
            9: FeaturizerRow(("111231", "111231"), "dense channel, diagonal token, expansion 3 (SwiGLU)"),
        },
        classes={
            9: ClassRow("GMemless", "91142"),
            25: ClassRow("GMemless-2", "91143"),
        },
        because={
            "sparsity": "a diagonal has no band to cut",
            "nonlinearity": "softmax over one token is 1",
        },
        matched=(("C", "V"),),
        per_channel=("C", "V"),
        expansions={"C": (1, 2, 3, 4), "V": (1, 2, 3, 4)},
        rules=rules,
        output=output,
    )
)
