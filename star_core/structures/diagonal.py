"""Diagonal token mixing, a memoryless gated unit: T_ij = σ(C_i) if i = j else 0, applied to V."""

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
    """Gate and value: ``expansion × D`` channels each."""
    return FeatureShape(1, dims.width * group.expansion)


def states(groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """Nothing is remembered."""
    return ()


def mixing_flops(groups: Groups, shapes: Shapes, dims: Dimensions, context: int) -> int:
    """The gate's nonlinearity (4 per channel) and product."""
    return 5 * shapes["V"].size


DIAGONAL = register(
    Structure(
        token_mixing=TokenMixing.DIAGONAL,
        roles=("C", "V"),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.SWISH, Nonlinearity.RELU, Nonlinearity.NONE),
        channel_mixings=(ChannelMixing.DENSE,),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("C",), "gate: parameters only"),
            3: Sharing(("V",), "value: parameters only"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        matched=(("C", "V"),),
    )
)
