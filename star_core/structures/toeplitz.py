"""Scaled Toeplitz token mixing, a gated causal convolution: T_ij = C_i K_{i-j} B_j for j <= i."""

from __future__ import annotations

from star_core.errors import GenomeError
from star_core.structures.base import ClassRow, Family, FeaturizerRow, Sharing, Structure
from star_core.structures.feature_groups import READ, VALUE, WRITE, Kind, Role
from star_core.structures.registered import register
from star_core.structures.shapes import Dimensions, FeatureShape, Groups, Shapes, State
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity

FILTER = Role("K", "the filter", Kind.FILTER)


def shape(role: str, group: FeatureGroupGenome, operator: OperatorGenome, dims: Dimensions) -> FeatureShape:
    """Gates and value: D channels. Filter K: a number per tap, or modes (implicit), and pair of channels.

    K_t is a D × D matrix per tap: diagonal, a block per head, or dense, as the channel-mixing gene says.
    """
    if role == "K":
        return FeatureShape(dims.width * _block(operator, dims), group.expansion)
    return FeatureShape(1, dims.width)


def _block(operator: OperatorGenome, dims: Dimensions) -> int:
    """Channels that one channel of the convolution reads."""
    if operator.channel_mixing is ChannelMixing.DIAGONAL:
        return 1
    return dims.head_dim if operator.channel_mixing is ChannelMixing.GROUPED else dims.width


def states(operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions) -> tuple[State, ...]:
    """Explicit filter: its last inputs. Implicit filter: one complex number per mode and channel."""
    roles, channels, taps = frozenset("BVK"), dims.width, shapes["K"].channels
    if groups["K"].sparsity is Sparsity.BANDED:
        return (State("window", (taps - 1, channels), False, roles),)
    return (State("modes", (channels, taps, 2), False, roles, accumulates=True),)


def mixing_flops(
    operator: OperatorGenome, groups: Groups, shapes: Shapes, dims: Dimensions, context: int
) -> int:
    """Both gates, then 2 per tap, or per mode one complex decay, input and read-out (10)."""
    per_tap = 2 if groups["K"].sparsity is Sparsity.BANDED else 10
    return 2 * dims.width + per_tap * shapes["K"].size


def rules(operator: OperatorGenome, groups: Groups) -> None:
    """Only a filter of explicit taps mixes channels."""
    if operator.channel_mixing is not ChannelMixing.DIAGONAL and groups["K"].sparsity is Sparsity.NONE:
        raise GenomeError(
            "an implicit filter is diagonal over channels (1): one set of modes per channel",
            value=int(operator.channel_mixing),
            place=f"operator genome {operator}, gene 5 (channel_mixing)",
            fix="use 1, or a featurizer with an explicit filter, e.g. 7",
        )


def words(operator: OperatorGenome) -> str:
    """E.g. ``gated convolution per channel``."""
    return f"gated convolution {operator.channel_mixing.words}"


def is_short(operator: OperatorGenome, groups: Groups) -> bool:
    """A filter of a few taps."""
    return groups["K"].sparsity is Sparsity.BANDED


TOEPLITZ = register(
    Structure(
        allele=3,
        name="toeplitz",
        meaning="(scaled) Toeplitz",
        family=Family("convolution", 2),
        stems={"GConv": "C"},
        features=(READ, WRITE, VALUE, FILTER),
        sparsities=(Sparsity.NONE,),
        nonlinearities=(Nonlinearity.NONE,),
        channel_mixings=(ChannelMixing.DIAGONAL, ChannelMixing.GROUPED, ChannelMixing.DENSE),
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
        words=words,
        featurizers={
            7: FeaturizerRow(
                ("111211", "111211", "111211", "321131"),
                "gates dense; explicit depthwise filter of length 3",
            ),
            8: FeaturizerRow(
                ("111211", "111211", "111211", "311181"),
                "gates dense; implicitly parametrised long depthwise filter, 8 modes",
            ),
        },
        classes={
            7: ClassRow("GConv-1", "73111"),
            8: ClassRow("GConv-2", "83111"),
            16: ClassRow("GConv-1-Diff", "73111", differential=True),
            17: ClassRow("GConv-2-Diff", "83111", differential=True),
            24: ClassRow("GConv-3", "73113"),
        },
        because={
            "sparsity": "its band is that of its filter, sparsity 2 of featurizer group K",
            "nonlinearity": "a filter is free to take any value",
        },
        plain=("C", "B", "V"),
        per_channel=("C", "B", "V"),
        expansions={"K": (2, 3, 4, 8, 16)},
        rules=rules,
        is_short=is_short,
    )
)
