"""The gated delta rule (arXiv 2412.06464) as shapes: a recurrence that corrects what it holds.

With a_i the decay and β_i the strength of writing, a state S of N × P per head follows

    S_i = a_i S_{i-1} + b_i u_iᵀ,    u_i = β_i (V_i - a_i S_{i-1}ᵀ b_i),    y_i = S_iᵀ c_i

where b and c are B and C of length one.
"""

from __future__ import annotations

from star_core.errors import GenomeError
from star_core.structures import (
    READ,
    VALUE,
    WRITE,
    ClassRow,
    Dimensions,
    Family,
    FeatureShape,
    FeaturizerRow,
    Groups,
    Role,
    Shapes,
    Sharing,
    State,
    Structure,
    register,
)
from star_core.structures.semi_separable import DECAY
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity

STRENGTH = Role("W", "how strongly a key's value is overwritten")


def shape(role: str, group: FeatureGroupGenome, operator: OperatorGenome, dims: Dimensions) -> FeatureShape:
    """V: H × P. C and B: (H / repeat) × N, N the state expansion. Decay and strength: one number a head."""
    if dims.heads % group.repeat:
        raise GenomeError(
            f"the repeat factor divides the number of heads ({dims.heads})",
            value=group.repeat,
            place=f"featurizer genome {group}, group {role}",
            fix=f"choose width and head_dim so that width / head_dim is a multiple of {group.repeat}",
        )
    channels = {"C": group.expansion, "B": group.expansion, "V": dims.head_dim, "A": 1, "W": 1}
    return FeatureShape(dims.heads // group.repeat, channels[role])


def states(operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """One N × P matrix per head, whatever the length."""
    size = (dims.heads, shapes["B"].channels, shapes["V"].channels)
    return (State("state", size, False, frozenset("BVAW"), accumulates=True),)


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """Decay (1 per scalar of the state), what it holds of the key, update and read-out (2 each)."""
    return 7 * dims.heads * shapes["B"].channels * shapes["V"].channels


def words(operator: OperatorGenome) -> str:
    """There is one kind only."""
    return "gated delta rule"


DELTA = register(
    Structure(
        allele=35,
        name="delta",
        meaning="semi-separable with corrections (delta rule)",
        family=Family("delta rule", 4),
        stems={"Delta": "D"},
        features=(READ, WRITE, VALUE, DECAY, STRENGTH),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.NONE,),
        channel_mixings=(ChannelMixing.DIAGONAL,),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("B", "V", "A", "W"), "all that is written: no state of its own"),
            3: Sharing(("B",), "key and its short-filter window"),
            4: Sharing(("C",), "query and its short-filter window"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        words=words,
        featurizers={
            35: FeaturizerRow(
                ("324281", "324281", "324211", "111211", "111211"),
                "dense channel, short Toeplitz token, swish, state expansion 8, decay and strength",
            )
        },
        classes={35: ClassRow("Delta-1", "zz111")},
        because={"channel_mixing": "a state is carried channel by channel"},
        matched=(("C", "B"),),
        plain=("V", "A", "W"),
        per_channel=("V",),
        expansions={"C": (4, 8, 16), "B": (4, 8, 16)},
        expanded="state of {}",
    )
)
