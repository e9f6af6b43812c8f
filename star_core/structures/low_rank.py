"""Low-rank token mixing: softmax attention, T_ij = softmax_j(C_i · B_j), over values V."""

from __future__ import annotations

from star_core.errors import GenomeError
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
    """Queries: H × d. Keys and values: (H / repeat) × d; ``repeat`` queries read one of them."""
    grouped = operator.channel_mixing is ChannelMixing.GROUPED
    heads, channels = (dims.heads, dims.head_dim) if grouped else (1, dims.width)
    if heads % group.repeat:
        raise GenomeError(
            f"the repeat factor divides the number of heads ({heads})",
            value=group.repeat,
            place=f"featurizer genome {group}, group {role}",
            fix=f"choose width and head_dim so that width / head_dim is a multiple of {group.repeat}",
        )
    return FeatureShape(heads // group.repeat, channels * group.expansion)


def states(groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """The key-value cache: every key and value ever written."""
    return tuple(
        State(role, (shapes[role].heads, shapes[role].channels), True, frozenset(role)) for role in ("B", "V")
    )


def mixing_flops(groups: Groups, shapes: Shapes, dims: Dimensions, context: int) -> int:
    """Scores C·B and the weighted sum of V, both over the whole context."""
    heads = shapes["C"].heads
    return 2 * context * heads * (shapes["C"].channels + shapes["V"].channels)


LOW_RANK = register(
    Structure(
        token_mixing=TokenMixing.LOW_RANK,
        roles=("C", "B", "V"),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.SOFTMAX,),
        channel_mixings=(ChannelMixing.GROUPED, ChannelMixing.DENSE),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("B", "V"), "keys and values: no KV cache of its own"),
            3: Sharing(("B",), "keys: half the KV cache"),
            4: Sharing(("V",), "values: half the KV cache"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        matched=(("C", "B"),),
    )
)
