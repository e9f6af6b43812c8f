"""What every token-mixing structure offers to a graph: its operator T over a block of tokens.

Batch 1. Legend: L tokens of this pass, M tokens of a history, H heads, S scalars of a feature group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from star_core.architecture import FeatureGroup, Layer
from star_core.errors import ConfigError
from star_core.graphs.positions import PositionNodes
from star_core.graphs.writer import GraphWriter
from star_core.registry import Registry
from star_core.structures.base import Structure
from star_core.structures.registered import structure_of
from star_core.structures.shapes import Dimensions


@dataclass(frozen=True, slots=True)
class GraphState:
    """How a graph keeps one state of a layer.

    A graph may lay out a state in another order than the model does, never in another size.

    Attributes:
        name: Of the state in the spec (``star_core/structures``).
        shape: Of the tensor; ``"held"`` stands for the tokens that a history has place for.
        grows: Axis of the tokens, if it is a history: of all tokens, or of as many as the axis has. Only rows
            of the tokens of a pass are given back then, and whoever runs the graph writes them to
            their places, position modulo size. ``None``: the new state is given back.
    """

    name: str
    shape: tuple[int | str, ...]
    grows: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter group, which depends on weights alone.

    Attributes:
        name: Of its weights.
        weights: By name (``star_core.structures.feature_groups.feature_weights``).
    """

    name: str
    weights: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Operands:
    """What an operator is applied to.

    Attributes:
        features: Role → value of L × S scalars. C and B come rotated where ``turned`` says so.
        filters: Role → filter group.
        states: Name → value from before the pass.
        positions: Of the tokens of the pass.
        new: Name → new state or new rows of a history, put here by the mixer.
    """

    features: Mapping[str, str]
    filters: Mapping[str, Filter]
    states: Mapping[str, str]
    positions: PositionNodes
    new: dict[str, str] = field(default_factory=dict)


class GraphMixer(ABC):
    """The graph of one token-mixing structure: y_i = Σ_j T_ij(features) V_j, as ``star_core.livs.mixer``.

    Attributes:
        turned: Roles whose features are rotated by their positions.
    """

    turned: tuple[str, ...] = ()

    def __init__(self, layer: Layer, dims: Dimensions) -> None:
        self.operator, self.dims = layer.liv_class.operator, dims
        self.groups = {group.role: group.genome for group in layer.groups}
        self.shapes = {group.role: group.shape for group in layer.groups}

    def factor(self, group: FeatureGroup) -> float:
        """What a feature group is multiplied by; part of its weights where they are linear."""
        return 1.0

    def states(self) -> tuple[GraphState, ...]:
        """The states that the structure keeps, one for each of the spec."""
        return ()

    @abstractmethod
    def write(self, graph: GraphWriter, operands: Operands) -> str:
        """Adds the operator: returns y, (L, channels), and puts new states into ``operands.new``."""

    def head_first(self, graph: GraphWriter, operands: Operands, role: str, heads: int) -> str:
        """(heads, L, channels), each head of the group as often as it takes."""
        length, shape = operands.positions.length, self.shapes[role]
        repeat, feature = heads // shape.heads, operands.features[role]
        if length == 1 and repeat == 1:
            return graph.reshape(feature, heads, 1, shape.channels)
        x = graph.reshape(feature, length, shape.heads, shape.channels)
        if length > 1:
            x = graph.node("Transpose", x, perm=[1, 0, 2])
        if repeat == 1:
            return x
        x = graph.reshape(x, shape.heads, 1, length, shape.channels)
        sizes = graph.constant([shape.heads, repeat, length, shape.channels], np.int64)
        return graph.reshape(graph.node("Expand", x, sizes), heads, length, shape.channels)

    def head_last(self, graph: GraphWriter, operands: Operands, role: str) -> str:
        """(heads, channels, L): the transpose, without repeats."""
        length, shape = operands.positions.length, self.shapes[role]
        if length == 1:
            return graph.reshape(operands.features[role], shape.heads, shape.channels, 1)
        x = graph.reshape(operands.features[role], length, shape.heads, shape.channels)
        return graph.node("Transpose", x, perm=[1, 2, 0])


GRAPH_MIXERS: Registry[type[GraphMixer]] = Registry(
    "graph of a structure", "star_core.graphs", "star.graphs", "star_core/graphs", ConfigError
)


def register(structure: Structure) -> Callable[[type[GraphMixer]], type[GraphMixer]]:
    """Class decorator: makes a graph mixer the graph of a structure."""
    return lambda mixer: GRAPH_MIXERS.add(structure.name, mixer)


def graph_mixer_of(allele: int) -> type[GraphMixer]:
    """The graph mixer that the token-mixing allele of an operator genome stands for.

    Raises:
        ConfigError: No file of ``star_core/graphs`` and no package's ``star.graphs`` entry point has one.
    """
    return GRAPH_MIXERS[structure_of(allele).name]


def require_graphs(alleles: Iterable[int]) -> None:
    """Raises ``ConfigError`` if models with these structures cannot be measured as graphs."""
    for allele in alleles:
        name = structure_of(allele).name
        if name not in GRAPH_MIXERS.names():
            raise ConfigError(
                f"the structure {name} has no graph, which is what runtimes run",
                value=name,
                place="objectives.runtime",
                fix="use eager" + GRAPH_MIXERS.where_to_find(),
            )
