"""Feature groups: their roles in a structure, and how a featurizer computes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from star_core.errors import GenomeError
from star_core.structures.shapes import Dimensions, FeatureShape, Start, State, Weight
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.tables import FILTERED, UNMIXED, ChannelMixing, Nonlinearity, Sparsity

SHORT_FILTER = 4
"""Taps of a featurizer's short causal depthwise convolution (as in Mamba, arXiv 2312.00752)."""


class Kind(Enum):
    """How a feature group is made of the layer's input h.

    ``FEATURE``: nonlinearity(short filter(projection(h))), or a norm of each head's channels in its place.
    ``RATE``: softplus(that + bias) · exp(log rate), a positive number per token. ``FILTER``: weights alone,
    whatever the input.
    """

    FEATURE = "feature"
    RATE = "rate"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class Role:
    """What a feature group is to the structures that have it.

    Attributes:
        letter: One capital letter, which means the same in every structure.
        meaning: One clause.
        kind: How it is computed.
    """

    letter: str
    meaning: str
    kind: Kind = Kind.FEATURE


READ = Role("C", "what reads: query, read-out, output gate")
WRITE = Role("B", "what writes: key, input projection, input gate")
VALUE = Role("V", "what is carried: value")


def check_feature_group(role: Role, group: FeatureGroupGenome) -> None:
    """Raises ``GenomeError`` if no feature group of this role can be computed as ``group`` says."""
    place = f"featurizer genome {group}, group {role.letter}"
    if group.nonlinearity is Nonlinearity.SOFTMAX:
        raise GenomeError(
            "softmax is a nonlinearity of operators, not of features",
            value=int(group.nonlinearity),
            place=place,
            fix="use 1, 3 or 4",
        )
    if group.nonlinearity is Nonlinearity.NORM and role.kind is not Kind.FEATURE:
        raise GenomeError(
            "a norm over the channels of a head (5) is of features, not of rates or filters",
            value=int(group.nonlinearity),
            place=place,
            fix="use 1",
        )
    if role.kind is Kind.FILTER:
        made = (group.token_mixing, group.nonlinearity, group.channel_mixing, group.repeat)
        if made != (FILTERED, Nonlinearity.NONE, ChannelMixing.DIAGONAL, 1):
            raise GenomeError(
                "a filter group is Toeplitz over tokens (3), without nonlinearity (1), diagonal over "
                "channels (1) and not repeated (1)",
                value=str(group),
                place=place,
                fix="use e.g. 321131",
            )
        return
    mixed = (group.token_mixing, group.sparsity)
    if mixed not in ((UNMIXED, Sparsity.NONE), (FILTERED, Sparsity.BANDED)):
        raise GenomeError(
            "features are mixed over tokens not at all (1, sparsity 1) or by a short filter (Toeplitz 3, "
            "banded 2)",
            value=str(group)[:2],
            place=place,
            fix="use 11 or 32",
        )


def feature_weights(
    kind: Kind, group: FeatureGroupGenome, shape: FeatureShape, dims: Dimensions
) -> tuple[Weight, ...]:
    """Weights of the featurizer of one group."""
    if kind is Kind.FILTER:
        if group.sparsity is Sparsity.BANDED:
            taps = (dims.width, shape.heads // dims.width, shape.channels)
            return (Weight("filter", taps, Start.TAPS),)
        modes = (shape.heads, shape.channels)
        return (
            Weight("real", modes, Start.RESIDUE),
            Weight("imaginary", modes, Start.RESIDUE),
            Weight("decay", modes, Start.MODE_DECAY),
            Weight("frequency", modes, Start.FREQUENCY),
        )
    weights = [_projection(group, shape, dims)]
    if group.token_mixing == FILTERED:
        weights.append(Weight("short_filter", (shape.size, SHORT_FILTER), Start.FAN_IN))
    if kind is Kind.RATE:
        weights.append(Weight("step_bias", (shape.size,), Start.STEP_BIAS))
        weights.append(Weight("log_rate", (shape.size,), Start.LOG_RATE))
    if group.nonlinearity is Nonlinearity.NORM:
        weights.append(Weight("norm", (shape.channels,), Start.ONES))
    return tuple(weights)


def _projection(group: FeatureGroupGenome, shape: FeatureShape, dims: Dimensions) -> Weight:
    """Dense: all channels to all features. Grouped: those of a head to its share. Diagonal: one to one."""
    if group.channel_mixing is ChannelMixing.DIAGONAL:
        return Weight("scale", (shape.size // dims.width, dims.width), Start.SIGNS)
    size: tuple[int, ...] = (shape.size, dims.width)
    if group.channel_mixing is ChannelMixing.GROUPED:
        blocks = math.gcd(dims.heads, shape.size)
        size = (blocks, shape.size // blocks, dims.width // blocks)
    return Weight("projection", size, Start.FAN_IN, decayed=True)


def feature_states(role: Role, group: FeatureGroupGenome, shape: FeatureShape) -> tuple[State, ...]:
    """What the featurizer of one group keeps between tokens: the inputs of its short filter."""
    if role.kind is Kind.FILTER or group.token_mixing != FILTERED:
        return ()
    inputs = (SHORT_FILTER - 1, shape.size)
    return (State(f"{role.letter}.window", inputs, False, frozenset(role.letter)),)


def feature_flops(kind: Kind, group: FeatureGroupGenome, shape: FeatureShape, dims: Dimensions) -> int:
    """FLOPs per token of computing one feature group (a filter is computed once, not per token)."""
    if kind is Kind.FILTER:
        return 0
    taps = SHORT_FILTER if group.token_mixing == FILTERED else 0
    return 2 * (_projection(group, shape, dims).size + shape.size * taps)
