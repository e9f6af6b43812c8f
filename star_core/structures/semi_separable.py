"""Sequentially semi-separable token mixing: T_ij = C_i · (a_{j+1} … a_i) δ_j B_j for j <= i."""

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
    """V: H × P. C and B: (H / repeat) × N, N the state expansion. A: one step size per head."""
    if dims.heads % group.repeat:
        raise GenomeError(
            f"the repeat factor divides the number of heads ({dims.heads})",
            value=group.repeat,
            place=f"featurizer genome {group}, group {role}",
            fix=f"choose width and head_dim so that width / head_dim is a multiple of {group.repeat}",
        )
    heads = dims.heads // group.repeat
    if role == "A":
        return FeatureShape(heads, 1)
    return FeatureShape(heads, dims.head_dim if role == "V" else group.expansion)


def states(operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """One N × P matrix per head, whatever the length."""
    size = (dims.heads, shapes["B"].channels, shapes["V"].channels)
    return (State("state", size, False, frozenset("BVA")),)


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """Decay and rank-one update of the state (3 per scalar), then the read-out (2 per scalar)."""
    return 5 * dims.heads * shapes["B"].channels * shapes["V"].channels


SEMI_SEPARABLE = register(
    Structure(
        token_mixing=TokenMixing.SEMI_SEPARABLE,
        roles=("C", "B", "V", "A"),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.NONE,),
        channel_mixings=(ChannelMixing.DIAGONAL,),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("B", "V", "A"), "input, value and decay: no state of its own"),
            3: Sharing(("B",), "input projection and its short-filter window"),
            4: Sharing(("C",), "read-out and its short-filter window"),
            5: Sharing(("B", "C"), "input and read-out and their short-filter windows"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        because={
            "sparsity": "its decay bounds its memory, not a band",
            "nonlinearity": "a product of decays is a recurrence only while it is linear in the state",
            "channel_mixing": "a state is carried channel by channel; featurizers and output mix channels",
        },
        matched=(("C", "B"),),
        plain=("V", "A"),
        per_channel=("V",),
    )
)
