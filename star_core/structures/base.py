"""What the search half knows of a token-mixing structure, without torch.

A structure is described twice, under one name: here by *shapes* (feature groups, weights, states,
FLOPs, what may be shared) and in ``star_core/livs`` by *arithmetic*. The model allocates exactly the
weights and states listed here, so sizes are known before anything is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from star_core.errors import GenomeError
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity, TokenMixing

SHORT_FILTER = 4
"""Taps of a featurizer's short causal depthwise convolution (as in Mamba, arXiv 2312.00752)."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Sizes a LIV class is instantiated at.

    Attributes:
        width: Channels D of the residual stream.
        head_dim: Channels per head; ``width`` is a multiple of it.
    """

    width: int
    head_dim: int

    @property
    def heads(self) -> int:
        """Number of heads H."""
        return self.width // self.head_dim


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter tensor: its name inside the feature group or LIV, and its shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class State:
    """One tensor of the inference cache.

    Attributes:
        name: Name inside the LIV.
        shape: Shape for one sequence (and one token, if ``per_token``).
        per_token: Whether it grows with the number of tokens held.
        roles: Feature groups it is computed from. A LIV that reuses all of them from another one
            reads that one's state and holds none of its own.
    """

    name: str
    shape: tuple[int, ...]
    per_token: bool
    roles: frozenset[str]

    def elements(self, length: int) -> int:
        """Scalars held for one sequence of ``length`` tokens."""
        return math.prod(self.shape) * (length if self.per_token else 1)


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """Shape of one computed feature group per token: ``heads × channels``.

    For filters: non-zero entries of a matrix over channels × taps.
    """

    heads: int
    channels: int

    @property
    def size(self) -> int:
        """Scalars per token (for filters: in all)."""
        return self.heads * self.channels


@dataclass(frozen=True, slots=True)
class Sharing:
    """One allele of the feature-sharing strategy: which roles are reused, and what that saves."""

    roles: tuple[str, ...]
    meaning: str


Shapes = Mapping[str, FeatureShape]
Groups = Mapping[str, FeatureGroupGenome]


def dense_output(operator: OperatorGenome, channels: int, dims: Dimensions) -> Weight:
    """A map from every channel that T leaves to every channel of the residual stream."""
    return Weight("output", (dims.width, channels))


@dataclass(frozen=True)
class Structure:
    """A token-mixing structure, as the search half sees it.

    Attributes:
        token_mixing: The allele of the operator genome that stands for it.
        roles: Feature groups it is made of, in featurizer order.
        sparsities, nonlinearities, channel_mixings: Alleles of the operator genome it admits.
        strategies: Feature-sharing alphabet: allele → roles reused. Allele 1 is always "none".
        shape: ``(role, group, operator, dims)`` → shape of that feature group.
        states: ``(operator, groups, shapes, dims)`` → what the operator keeps between tokens.
        mixing_flops: ``(operator, groups, shapes, dims, context)`` → FLOPs per token of applying T
            with ``context`` tokens held (a multiply-add counts 2).
        because: Gene of the operator genome → why it admits no other alleles.
        matched: Sets of roles whose expansion factors must be equal.
        plain: Roles that admit no expansion and no repetition.
        per_channel: Roles with ``expansion`` features for each channel, unless repeated: only those
            can be made channel by channel.
        rules: ``(operator, groups)`` → raises ``GenomeError`` for what only both together break.
        output: ``(operator, channels, dims)`` → the weight that maps what T leaves to the D channels
            of the residual stream.
    """

    token_mixing: TokenMixing
    roles: tuple[str, ...]
    sparsities: tuple[Sparsity, ...]
    nonlinearities: tuple[Nonlinearity, ...]
    channel_mixings: tuple[ChannelMixing, ...]
    strategies: Mapping[int, Sharing]
    shape: Callable[[str, FeatureGroupGenome, OperatorGenome, Dimensions], FeatureShape]
    states: Callable[[OperatorGenome, Groups, Shapes, Dimensions], tuple[State, ...]]
    mixing_flops: Callable[[OperatorGenome, Groups, Shapes, Dimensions, int], int]
    because: Mapping[str, str] = field(default_factory=dict)
    matched: tuple[tuple[str, ...], ...] = ()
    plain: tuple[str, ...] = ()
    per_channel: tuple[str, ...] = ()
    rules: Callable[[OperatorGenome, Groups], None] | None = None
    output: Callable[[OperatorGenome, int, Dimensions], Weight] = dense_output

    def check(self, operator: OperatorGenome, featurizer: FeaturizerGenome) -> None:
        """Raises ``GenomeError`` with the rule that operator and featurizer break together."""
        name = self.token_mixing.name.lower().replace("_", "-")
        place = f"operator genome {operator}"
        for gene, allele, valid in (
            ("sparsity", operator.sparsity, self.sparsities),
            ("nonlinearity", operator.nonlinearity, self.nonlinearities),
            ("channel_mixing", operator.channel_mixing, self.channel_mixings),
        ):
            if allele not in valid:
                why = f": {self.because[gene]}" if gene in self.because else ""
                raise GenomeError(
                    f"a {name} operator admits {gene} in {{{', '.join(str(int(v)) for v in valid)}}}{why}",
                    value=int(allele),
                    place=place,
                    fix=f"use {int(valid[0])}",
                )
        if featurizer.roles != self.roles:
            raise GenomeError(
                f"a {name} operator needs the feature groups {' '.join(self.roles)}, "
                f"featurizer {operator.featurizer} makes {' '.join(featurizer.roles)}",
                value=operator.featurizer,
                place=place,
                fix="choose a featurizer class with those groups (star genes --level featurizer)",
            )
        for role, group in zip(featurizer.roles, featurizer.groups, strict=True):
            check_feature_group(role, group)
        groups = dict(zip(featurizer.roles, featurizer.groups, strict=True))
        for roles in self.matched:
            expansions = {groups[role].expansion for role in roles}
            if len(expansions) > 1:
                raise GenomeError(
                    f"the groups {', '.join(roles)} have one expansion factor",
                    value=sorted(expansions),
                    place=f"featurizer genome {featurizer}",
                    fix=f"use {min(expansions)} for all of them",
                )
        for role in self.plain:
            if (groups[role].expansion, groups[role].repeat) != (1, 1):
                raise GenomeError(
                    f"group {role} of a {name} operator has expansion 1 and repeat 1",
                    value=str(groups[role]),
                    place=f"featurizer genome {featurizer}, group {role}",
                    fix=f"use {str(groups[role])[:4]}11",
                )
        for role, group in groups.items():
            if role == "K" or group.channel_mixing is not ChannelMixing.DIAGONAL:
                continue
            if role not in self.per_channel or group.repeat != 1:
                raise GenomeError(
                    f"group {role} of a {name} operator is made channel by channel (1) only where it has "
                    "features for each channel and is not repeated",
                    value=str(group),
                    place=f"featurizer genome {featurizer}, group {role}",
                    fix="use channel mixing 2 (dense) or 3 (grouped)",
                )
        if self.rules is not None:
            self.rules(operator, groups)


def check_feature_group(role: str, group: FeatureGroupGenome) -> None:
    """Raises ``GenomeError`` if no feature group of this role can be computed as ``group`` says."""
    place = f"featurizer genome {group}, group {role}"
    if group.nonlinearity is Nonlinearity.SOFTMAX:
        raise GenomeError(
            "softmax is a nonlinearity of operators, not of features",
            value=int(group.nonlinearity),
            place=place,
            fix="use 1, 3 or 4",
        )
    if role == "K":
        made = (group.token_mixing, group.nonlinearity, group.channel_mixing, group.repeat)
        if made != (TokenMixing.TOEPLITZ, Nonlinearity.NONE, ChannelMixing.DIAGONAL, 1):
            raise GenomeError(
                "a filter group is Toeplitz over tokens (3), without nonlinearity (1), diagonal over "
                "channels (1) and not repeated (1)",
                value=str(group),
                place=place,
                fix="use e.g. 321131",
            )
        return
    if (group.token_mixing, group.sparsity) not in (
        (TokenMixing.DIAGONAL, Sparsity.NONE),
        (TokenMixing.TOEPLITZ, Sparsity.BANDED),
    ):
        raise GenomeError(
            "features are mixed over tokens not at all (1, sparsity 1) or by a short filter (Toeplitz 3, "
            "banded 2)",
            value=str(group)[:2],
            place=place,
            fix="use 11 or 32",
        )


def feature_weights(
    role: str, group: FeatureGroupGenome, shape: FeatureShape, dims: Dimensions
) -> tuple[Weight, ...]:
    """Weights of the featurizer of one group."""
    if role == "K":
        if group.sparsity is Sparsity.BANDED:
            return (Weight("filter", (dims.width, shape.heads // dims.width, shape.channels)),)
        modes = (shape.heads, shape.channels)
        return tuple(Weight(name, modes) for name in ("real", "imaginary", "decay", "frequency"))
    weights = [_projection(group, shape, dims)]
    if group.token_mixing is TokenMixing.TOEPLITZ:
        weights.append(Weight("short_filter", (shape.size, SHORT_FILTER)))
    if role == "A":
        weights += [Weight("step_bias", (shape.size,)), Weight("log_rate", (shape.size,))]
    return tuple(weights)


def _projection(group: FeatureGroupGenome, shape: FeatureShape, dims: Dimensions) -> Weight:
    """Dense: all channels to all features. Grouped: those of a head to its share. Diagonal: one to one."""
    if group.channel_mixing is ChannelMixing.DIAGONAL:
        return Weight("scale", (shape.size // dims.width, dims.width))
    if group.channel_mixing is ChannelMixing.GROUPED:
        blocks = math.gcd(dims.heads, shape.size)
        return Weight("projection", (blocks, shape.size // blocks, dims.width // blocks))
    return Weight("projection", (shape.size, dims.width))


def feature_states(role: str, group: FeatureGroupGenome, shape: FeatureShape) -> tuple[State, ...]:
    """What the featurizer of one group keeps between tokens: the inputs of its short filter."""
    if role != "K" and group.token_mixing is TokenMixing.TOEPLITZ:
        return (State(f"{role}.window", (SHORT_FILTER - 1, shape.size), False, frozenset(role)),)
    return ()


def feature_flops(role: str, group: FeatureGroupGenome, shape: FeatureShape, dims: Dimensions) -> int:
    """FLOPs per token of computing one feature group (a filter is computed once, not per token)."""
    if role == "K":
        return 0
    taps = SHORT_FILTER if group.token_mixing is TokenMixing.TOEPLITZ else 0
    return 2 * (_projection(group, shape, dims).size + shape.size * taps)


_STRUCTURES: dict[TokenMixing, Structure] = {}


def register(structure: Structure) -> Structure:
    """Makes a structure known; called once in the file that describes it."""
    _STRUCTURES[structure.token_mixing] = structure
    return structure


def structure_of(token_mixing: TokenMixing) -> Structure:
    """The structure an operator genome's token-mixing allele stands for."""
    return _STRUCTURES[token_mixing]
