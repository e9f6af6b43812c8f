"""Sequentially semi-separable token mixing: T_ij = C_i · (a_{j+1} … a_i) δ_j B_j for j <= i."""

from __future__ import annotations

from star_core.errors import GenomeError
from star_core.structures.base import ClassRow, Family, FeaturizerRow, Sharing, Structure
from star_core.structures.feature_groups import READ, VALUE, WRITE, Kind, Role
from star_core.structures.registered import register
from star_core.structures.shapes import Dimensions, FeatureShape, Groups, Shapes, State
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity

FORGOTTEN = 16.0
"""Largest -log a of one token: e^-16 is the rounding error of float32. Keeps sums of logs exact."""

DECAY = Role("A", "how the state decays", Kind.RATE)


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
    return (State("state", size, False, frozenset("BVA"), accumulates=True),)


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """Decay and rank-one update of the state (3 per scalar), then the read-out (2 per scalar)."""
    return 5 * dims.heads * shapes["B"].channels * shapes["V"].channels


def words(operator: OperatorGenome) -> str:
    """There is one kind only."""
    return "recurrence"


def is_short(operator: OperatorGenome, groups: Groups) -> bool:
    """A state of two numbers for each channel holds little."""
    return groups["B"].expansion <= 2


SEMI_SEPARABLE = register(
    Structure(
        allele=4,
        name="semi-separable",
        meaning="sequentially semi-separable",
        family=Family("recurrence", 1),
        stems={"Rec": "R"},
        features=(READ, WRITE, VALUE, DECAY),
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
        words=words,
        featurizers={
            5: FeaturizerRow(
                ("3242g1", "3242g1", "324211", "111211"),
                "dense channel, short Toeplitz token, state expansion 16",
            ),
            6: FeaturizerRow(
                ("324221", "324221", "324211", "111211"),
                "dense channel, short Toeplitz token, state expansion 2",
            ),
        },
        classes={
            5: ClassRow("Rec-1", "54111"),
            6: ClassRow("Rec-2", "64111"),
            14: ClassRow("Rec-1-Diff", "54111", differential=True),
            15: ClassRow("Rec-2-Diff", "64111", differential=True),
        },
        because={
            "sparsity": "its decay bounds its memory, not a band",
            "nonlinearity": "a product of decays is a recurrence only while it is linear in the state",
            "channel_mixing": "a state is carried channel by channel; featurizers and output mix channels",
        },
        matched=(("C", "B"),),
        plain=("V", "A"),
        per_channel=("V",),
        expansions={"C": (2, 4, 8, 16, 32), "B": (2, 4, 8, 16, 32)},
        expanded="state of {}",
        is_short=is_short,
    )
)
