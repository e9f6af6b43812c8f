"""Low-rank token mixing: T_ij = σ(C_i · B_j) for j <= i, over values V.

σ is softmax over the row (attention), ReLU or swish of each score, or nothing (linear attention).
Banded, a token reads the last ``WINDOW`` tokens only.
"""

from __future__ import annotations

import math

from star_core.errors import GenomeError
from star_core.structures.base import ClassRow, Family, FeaturizerRow, Sharing, Structure
from star_core.structures.feature_groups import READ, VALUE, WRITE
from star_core.structures.registered import register
from star_core.structures.shapes import Dimensions, FeatureShape, Groups, Shapes, State
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity

ROTARY_BASE = 10_000.0
"""Queries and keys are turned by angles of base^(-f/F) for each token (arXiv 2104.09864)."""

WINDOW = 64
"""Tokens that a banded row reads, its own included."""


def is_recurrent(operator: OperatorGenome) -> bool:
    """Whether the past fits into one matrix per head: no nonlinearity, and no band that would forget."""
    return operator.nonlinearity is Nonlinearity.NONE and operator.sparsity is Sparsity.NONE


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


def states(operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """Full: every key and value. Banded: the last of them. Linear: the sum of B Vᵀ, a matrix per head."""
    if is_recurrent(operator):
        heads = math.lcm(shapes["B"].heads, shapes["V"].heads)
        size = (heads, shapes["B"].channels, shapes["V"].channels)
        return (State("state", size, False, frozenset("BV"), accumulates=True),)
    sizes = {role: (shapes[role].heads, shapes[role].channels) for role in ("B", "V")}
    if operator.sparsity is Sparsity.BANDED:
        names = {"B": "keys", "V": "values"}
        return tuple(
            State(names[role], (WINDOW - 1, *size), False, frozenset(role)) for role, size in sizes.items()
        )
    return tuple(State(role, size, True, frozenset(role)) for role, size in sizes.items())


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """Scores C·B and the weighted sum of V over what is read; linear: one update and one read-out."""
    heads = max(shape.heads * groups[role].repeat for role, shape in shapes.items())
    keys, values = shapes["B"].channels, shapes["V"].channels
    if is_recurrent(operator):
        return 4 * heads * keys * values
    read = min(context, WINDOW) if operator.sparsity is Sparsity.BANDED else context
    return 2 * read * heads * (keys + values)


def rules(operator: OperatorGenome, groups: Groups) -> None:
    """Dense scores have one head, which nothing can be repeated for."""
    for role, group in groups.items():
        if operator.channel_mixing is ChannelMixing.DENSE and group.repeat != 1:
            raise GenomeError(
                "with dense channel mixing (2) there is one head, so no group is repeated",
                value=group.repeat,
                place=f"operator genome {operator}, featurizer genome {group}, group {role}",
                fix="use channel mixing 3 (grouped), or a repeat factor of 1",
            )


def words(operator: OperatorGenome) -> str:
    """E.g. ``softmax attention by head over 64 tokens``."""
    score = "linear" if operator.nonlinearity is Nonlinearity.NONE else operator.nonlinearity.words
    heads = "by head" if operator.channel_mixing is ChannelMixing.GROUPED else "in one head"
    band = f" over {WINDOW} tokens" if operator.sparsity is Sparsity.BANDED else ""
    return f"{score} attention {heads}{band}"


def stem(operator: OperatorGenome) -> str:
    """Linear attention has a name of its own."""
    return "LA" if operator.nonlinearity is Nonlinearity.NONE else "SA"


LOW_RANK = register(
    Structure(
        allele=2,
        name="low-rank",
        meaning="low rank",
        family=Family("attention", 0),
        stems={"SA": "S", "LA": "LA"},
        features=(READ, WRITE, VALUE),
        sparsities=(Sparsity.NONE, Sparsity.BANDED),
        nonlinearities=(Nonlinearity.SOFTMAX, Nonlinearity.NONE, Nonlinearity.RELU, Nonlinearity.SWISH),
        channel_mixings=(ChannelMixing.GROUPED, ChannelMixing.DENSE),
        strategies={
            1: Sharing((), "none"),
            2: Sharing(("B", "V"), "keys and values: no KV cache, or state, of its own"),
            3: Sharing(("B",), "keys: half the KV cache; parameters only where the state is a matrix"),
            4: Sharing(("V",), "values: half the KV cache; parameters only where the state is a matrix"),
        },
        shape=shape,
        states=states,
        mixing_flops=mixing_flops,
        words=words,
        featurizers={
            1: FeaturizerRow(("111211", "111211", "111211"), "dense channel, diagonal token"),
            2: FeaturizerRow(("321211", "321211", "321211"), "dense channel, short Toeplitz token"),
            3: FeaturizerRow(("111211", "111214", "111214"), "as 1, last two groups repeated 4 times"),
            4: FeaturizerRow(("111211", "111212", "111212"), "as 1, last two groups repeated 2 times"),
            10: FeaturizerRow(("114211", "114211", "111211"), "as 1, swish on the first two groups"),
            11: FeaturizerRow(("115211", "115214", "111214"), "as 3, RMS norm on the first two groups"),
        },
        classes={
            1: ClassRow("SA-1", "12123"),
            2: ClassRow("SA-2", "22123"),
            3: ClassRow("SA-3", "32123"),
            4: ClassRow("SA-4", "42123"),
            10: ClassRow("SA-1-Diff", "12123", differential=True),
            11: ClassRow("SA-2-Diff", "22123", differential=True),
            12: ClassRow("SA-3-Diff", "32123", differential=True),
            13: ClassRow("SA-4-Diff", "42123", differential=True),
            18: ClassRow("LA-1", "12113"),
            19: ClassRow("LA-2", "a2113"),
            20: ClassRow("SA-1-Band", "12223"),
            21: ClassRow("SA-3-Band", "32223"),
            22: ClassRow("SA-1-ReLU", "12133"),
            23: ClassRow("SA-1-Swish", "12143"),
            26: ClassRow("SA-3-Norm", "b2123"),
        },
        stem=stem,
        because={"channel_mixing": "a score is an inner product over the channels of a head"},
        matched=(("C", "B"),),
        per_channel=("C", "B", "V"),
        expansions={"C": (1, 2), "B": (1, 2), "V": (1, 2)},
        rules=rules,
        bends=(WINDOW,),
    )
)
