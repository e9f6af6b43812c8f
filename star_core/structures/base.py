"""What the search half knows of a token-mixing structure, without torch.

A structure is described twice, under one name: here by *shapes* (feature groups, weights, states, FLOPs, what
may be shared, what it is called) and in ``star_core/livs`` by *arithmetic*. The model allocates exactly the
weights and states listed here, so sizes are known before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from star_core.errors import GenomeError
from star_core.structures.feature_groups import Kind, Role, check_feature_group
from star_core.structures.shapes import Dimensions, FeatureShape, Groups, Shapes, Start, State, Weight
from star_core.vocabulary.featurizer import FeatureGroupGenome, FeaturizerGenome
from star_core.vocabulary.operator import OperatorGenome
from star_core.vocabulary.tables import ChannelMixing, Nonlinearity, Sparsity

PAPER_STRUCTURES = (1, 2, 3, 4)
"""Alleles of the structures of arXiv 2411.17800: what a search space admits unless it is told of more."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """One allele of the feature-sharing strategy: which roles are reused, and what that saves."""

    roles: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class Family:
    """Structures that a reader takes for one kind of operator.

    Attributes:
        name: For people, e.g. ``attention``.
        colour: Its place in the palette of pictures (``star_core/analysis/drawing/colours.py``) and in the
            order of families. 0 to 3 are those of the paper.
    """

    name: str
    colour: int


@dataclass(frozen=True, slots=True)
class FeaturizerRow:
    """A featurizer class: a six-integer genome for each feature group, and what is special about it."""

    groups: tuple[str, ...]
    meaning: str


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A LIV class: its name, its operator genome, whether the difference of two such operators is meant."""

    name: str
    operator: str
    differential: bool = False


def dense_output(operator: OperatorGenome, channels: int, dims: Dimensions) -> Weight:
    """A map from every channel that T leaves to every channel of the residual stream."""
    return Weight("output", (dims.width, channels), Start.OUTPUT, decayed=True)


def nothing_more(operator: OperatorGenome, groups: Groups) -> None:
    """No rule that operator and feature groups could only break together."""


@dataclass(frozen=True)
class Structure:
    """A token-mixing structure, as the search half sees it.

    Attributes:
        allele: The allele of the operator genome that stands for it, 1 to 35.
        name: For messages and parameters, e.g. ``low-rank``.
        meaning: In a few words, for the table of alleles.
        family: For people and pictures.
        stems: First word of the names of its classes → that in one letter or two.
        features: Feature groups it is made of, in featurizer order. T leaves the channels of one, ``VALUE``.
        sparsities, nonlinearities, channel_mixings: Alleles of the operator genome it admits.
        strategies: Feature-sharing alphabet: allele → roles reused. Allele 1 is always "none".
        shape: ``(role, group, operator, dims)`` → shape of that feature group.
        states: ``(operator, groups, shapes, dims)`` → what the operator keeps between tokens.
        mixing_flops: ``(operator, groups, shapes, dims, context)`` → FLOPs per token of applying T
            with ``context`` tokens held (a multiply-add counts 2).
        words: ``operator`` → the operator in a few words.
        featurizers: Number → featurizer class. One of them at least fits each operator genome it admits.
        classes: Number → LIV class.
        stem: ``operator`` → which of ``stems`` the name of a class begins with; ``None``: the first.
        because: Gene of the operator genome → why it admits no other alleles.
        matched: Sets of roles whose expansion factors must be equal.
        plain: Roles that admit no expansion and no repetition.
        per_channel: Roles with ``expansion`` features for each channel, unless repeated: only those
            can be made channel by channel.
        expansions: Role → expansion factors of the preset ``full``; other roles have 1.
        expanded: What an expansion factor is, in words.
        rules: ``(operator, groups)`` → raises ``GenomeError`` for what only both together break.
        output: ``(operator, channels, dims)`` → the weight that maps what T leaves to the D channels
            of the residual stream, named ``output``, or ``output_scale`` where it scales channel by channel.
        bends: Tokens held at which ``mixing_flops`` takes another slope; between them it is linear.
        is_short: ``(operator, groups)`` → whether it remembers few tokens, or a few numbers of many: a hint
            for the predictor.
        version: Raised when the same genome gives other results. Digests of architectures depend on it; for
            the paper's structures ``MODEL`` in ``star_core/semantics.py`` stands in its place.
    """

    allele: int
    name: str
    meaning: str
    family: Family
    stems: Mapping[str, str]
    features: tuple[Role, ...]
    sparsities: tuple[Sparsity, ...]
    nonlinearities: tuple[Nonlinearity, ...]
    channel_mixings: tuple[ChannelMixing, ...]
    strategies: Mapping[int, Sharing]
    shape: Callable[[str, FeatureGroupGenome, OperatorGenome, Dimensions], FeatureShape]
    states: Callable[[OperatorGenome, Groups, Shapes, Dimensions], tuple[State, ...]]
    mixing_flops: Callable[[OperatorGenome, Groups, Shapes, Dimensions, int], int]
    words: Callable[[OperatorGenome], str]
    featurizers: Mapping[int, FeaturizerRow]
    classes: Mapping[int, ClassRow]
    stem: Callable[[OperatorGenome], str] | None = None
    because: Mapping[str, str] = field(default_factory=dict)
    matched: tuple[tuple[str, ...], ...] = ()
    plain: tuple[str, ...] = ()
    per_channel: tuple[str, ...] = ()
    expansions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    expanded: str = "{} wide"
    rules: Callable[[OperatorGenome, Groups], None] = nothing_more
    output: Callable[[OperatorGenome, int, Dimensions], Weight] = dense_output
    bends: tuple[int, ...] = ()
    is_short: Callable[[OperatorGenome, Groups], bool] = lambda operator, groups: False
    version: int = 1

    @cached_property
    def roles(self) -> tuple[str, ...]:
        """Letters of its feature groups, in featurizer order."""
        return tuple(role.letter for role in self.features)

    @cached_property
    def role(self) -> Mapping[str, Role]:
        """Letter → role."""
        return {role.letter: role for role in self.features}

    @cached_property
    def featurizer_genomes(self) -> Mapping[int, FeaturizerGenome]:
        """Number → its own featurizer classes."""
        return {
            number: FeaturizerGenome(self.roles, tuple(map(FeatureGroupGenome.parse, row.groups)))
            for number, row in sorted(self.featurizers.items())
        }

    @cached_property
    def featurizer_numbers(self) -> Mapping[FeaturizerGenome, int]:
        """Feature groups → the featurizer class of its own that makes them."""
        return {featurizer: number for number, featurizer in self.featurizer_genomes.items()}

    @cached_property
    def identity(self) -> str:
        """What a digest says of the structure besides its allele; nothing if it is one of the paper's."""
        return "" if self.allele in PAPER_STRUCTURES else f" {self.name} {self.version}"

    def stem_of(self, operator: OperatorGenome) -> str:
        """The first word of the name of a class."""
        return next(iter(self.stems)) if self.stem is None else self.stem(operator)

    def check(self, operator: OperatorGenome, featurizer: FeaturizerGenome) -> None:
        """Raises ``GenomeError`` with the rule that operator and featurizer break together."""
        place = f"operator genome {operator}"
        for gene, allele, valid in (
            ("sparsity", operator.sparsity, self.sparsities),
            ("nonlinearity", operator.nonlinearity, self.nonlinearities),
            ("channel_mixing", operator.channel_mixing, self.channel_mixings),
        ):
            if allele not in valid:
                why = f": {self.because[gene]}" if gene in self.because else ""
                listed = ", ".join(str(int(allele)) for allele in valid)
                raise GenomeError(
                    f"a {self.name} operator admits {gene} in {{{listed}}}{why}",
                    value=int(allele),
                    place=place,
                    fix=f"use {int(valid[0])}",
                )
        if featurizer.roles != self.roles:
            raise GenomeError(
                f"a {self.name} operator needs the feature groups {' '.join(self.roles)}, "
                f"featurizer {operator.featurizer} makes {' '.join(featurizer.roles)}",
                value=operator.featurizer,
                place=place,
                fix="choose a featurizer class with those groups (star genes --level featurizer)",
            )
        for role, group in zip(self.features, featurizer.groups, strict=True):
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
        for letter in self.plain:
            if (groups[letter].expansion, groups[letter].repeat) != (1, 1):
                raise GenomeError(
                    f"group {letter} of a {self.name} operator has expansion 1 and repeat 1",
                    value=str(groups[letter]),
                    place=f"featurizer genome {featurizer}, group {letter}",
                    fix=f"use {str(groups[letter])[:4]}11",
                )
        for role, group in zip(self.features, featurizer.groups, strict=True):
            if role.kind is Kind.FILTER or group.channel_mixing is not ChannelMixing.DIAGONAL:
                continue
            if role.letter not in self.per_channel or group.repeat != 1:
                raise GenomeError(
                    f"group {role.letter} of a {self.name} operator is made channel by channel (1) only "
                    "where it has features for each channel and is not repeated",
                    value=str(group),
                    place=f"featurizer genome {featurizer}, group {role.letter}",
                    fix="use channel mixing 2 (dense) or 3 (grouped)",
                )
        self.rules(operator, groups)
