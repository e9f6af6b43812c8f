"""One layer as a graph: norm → feature groups → token mixing → output, added to the residual stream.

What is done alike to several feature groups is done once: projections of one input are one product, groups
with a short filter, a nonlinearity or a rotation of one kind go through it together.

Legend: L tokens of this pass, D channels, S scalars of some feature groups, E channels of a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from star_core.architecture import Architecture, FeatureGroup, Layer
from star_core.graphs.mixer import Filter, GraphMixer, GraphState, Operands, graph_mixer_of
from star_core.graphs.positions import PositionNodes
from star_core.graphs.short_filter import short_filter
from star_core.graphs.writer import GraphWriter
from star_core.structures.feature_groups import SHORT_FILTER, Kind
from star_core.structures.registered import structure_of
from star_core.structures.shapes import NORM_EPSILON
from star_core.vocabulary.tables import FILTERED, ChannelMixing, Nonlinearity

Weights = Mapping[str, np.ndarray]
"""Weights by their names in the model's state dict."""


class FeatureKey(NamedTuple):
    """One computed feature group: the layer that computed it, branch, role."""

    layer: int
    branch: int
    role: str


class StateKey(NamedTuple):
    """One tensor of inference state: the layer that holds it, branch, name."""

    layer: int
    branch: int
    name: str


@dataclass(frozen=True, slots=True, order=True)
class Treatment:
    """What is done to a feature group behind its projection; groups with one treatment share it.

    Attributes:
        windowed: Whether it passes a short filter.
        nonlinearity: Behind that.
        is_rate: Whether it is a rate then.
        factor: What it is multiplied by at last; 1 where its weights can be.
        normed: Channels of a head, if each head is normalised in place of a nonlinearity; else 0.
        turned: Channels of a head, if it is rotated; else 0.
    """

    windowed: bool
    nonlinearity: Nonlinearity
    is_rate: bool
    factor: float
    normed: int
    turned: int


class _Computed(NamedTuple):
    """A feature group that a layer computes.

    ``users`` are the layers that compute with the weights of its projection.
    """

    treatment: Treatment
    key: FeatureKey
    group: FeatureGroup
    users: tuple[int, ...]


def _product_of(computed: _Computed) -> tuple[object, ...]:
    """Equal where projections are one product: of all channels, with weights that the same layers use."""
    if computed.group.genome.channel_mixing is ChannelMixing.DENSE:
        return (0, computed.users)
    return (1, computed.key.branch, computed.key.role)


class LayerGraphs:
    """Writes all layers of a model; keeps what they share.

    Args:
        graph: Where nodes are added.
        architecture: The compiled genome.
        weights: Of the model.
        positions: Of the tokens of the pass.

    Attributes:
        states: Name of the input → what it is; in the order of the layers.
    """

    def __init__(
        self, graph: GraphWriter, architecture: Architecture, weights: Weights, positions: PositionNodes
    ) -> None:
        self._graph, self._architecture, self._weights = graph, architecture, weights
        self._positions = positions
        self._features: dict[FeatureKey, str] = {}
        self._filters: dict[FeatureKey, Filter] = {}
        self._states: dict[StateKey, str] = {}
        self._users = _users(architecture)
        self.states: dict[str, GraphState] = {}

    def add(self, x_LD: str, layer: Layer) -> str:
        """The residual stream behind a layer."""
        graph, place = self._graph, f"backbone.layers.{layer.index}"
        h_LD = self.norm(x_LD, f"{place}.norm")
        mixer = graph_mixer_of(layer.liv_class.operator.token_mixing)(layer, self._architecture.dims)
        self._compute(h_LD, layer, mixer)
        mixed = [self._mix(layer, branch, mixer) for branch in range(layer.branches)]
        y = mixed[0]
        if layer.branches == 2:
            difference = graph.weight(f"{place}.difference", self._weights[f"{place}.difference"])
            y = graph.node("Sub", y, graph.node("Mul", difference, mixed[1]))
        return graph.node("Add", x_LD, self._output(y, layer, place))

    def norm(self, x_LD: str, name: str) -> str:
        """Root-mean-square normalisation with the weight of this name."""
        weight = self._graph.weight(name, self._weights[name])
        return self._graph.node("RMSNormalization", x_LD, weight, axis=-1, epsilon=NORM_EPSILON)

    def _compute(self, h_LD: str, layer: Layer, mixer: GraphMixer) -> None:
        """Feature groups that the layer computes itself."""
        computed: list[_Computed] = []
        for branch in range(layer.branches):
            for group in layer.groups:
                key = FeatureKey(layer.index, branch, group.role)
                if group.kind is Kind.FILTER and group.weights_of is not None:
                    place = _place(branch, group)
                    own = {weight.name: self._weights[f"{place}.{weight.name}"] for weight in group.weights}
                    self._filters[key] = Filter(place, own)
                elif group.weights_of is not None:
                    users = self._users[group.weights_of, group.role]
                    computed.append(_Computed(self._treatment(group, mixer), key, group, users))
        computed.sort(key=lambda entry: (_product_of(entry), entry[0]))
        for _, pack in groupby(computed, key=_product_of):
            self._pack(h_LD, list(pack), mixer)

    def _pack(self, h_LD: str, pack: list[_Computed], mixer: GraphMixer) -> None:
        """Feature groups whose projections are one product."""
        graph, segments = self._graph, []
        for treatment, found in groupby(pack, key=lambda entry: entry.treatment):
            segments.append((treatment, [(entry.key, entry.group) for entry in found]))
        x_LS = self._project(h_LD, [entry for _, entries in segments for entry in entries], mixer)
        sizes = [sum(group.shape.size for _, group in entries) for _, entries in segments]
        for part_LS, (treatment, entries) in zip(graph.split(x_LS, sizes, 1), segments, strict=True):
            self._treat(part_LS, treatment, entries, mixer)

    def _project(self, h_LD: str, entries: list[tuple[FeatureKey, FeatureGroup]], mixer: GraphMixer) -> str:
        """Their projections of the normalised input, side by side, (L, S)."""
        graph, (_, first) = self._graph, entries[0]
        mixing = first.genome.channel_mixing
        places = [_place(key.branch, group) for key, group in entries]
        if mixing is ChannelMixing.DENSE:
            name = f"backbone.layers.{first.weights_of}.projections." + "".join(
                f"{group.role}{key.branch}" for key, group in entries
            )
            return graph.matrix_product(
                h_LD,
                name,
                lambda: np.concatenate(
                    [
                        self._weights[f"{place}.projection"] * np.float32(_projection_factor(group, mixer))
                        for place, (_, group) in zip(places, entries, strict=True)
                    ]
                ),
            )
        (place,) = places
        if mixing is ChannelMixing.GROUPED:
            return self._block_product(h_LD, f"{place}.projection", _projection_factor(first, mixer))
        scale_ED = self._weights[f"{place}.scale"] * np.float32(_projection_factor(first, mixer))
        length, width = self._positions.length, scale_ED.shape[1]
        h_L1D = graph.reshape(h_LD, length, 1, width)
        spread_LED = graph.node("Mul", h_L1D, graph.weight(f"{place}.scale", scale_ED))
        return graph.reshape(spread_LED, length, scale_ED.size)

    def _block_product(self, x: str, name: str, factor: float = 1.0) -> str:
        """A product with a block-diagonal matrix (G, S / G, D / G)."""
        graph, length = self._graph, self._positions.length
        blocks_GSD = self._weights[name]
        count, outputs, inputs = blocks_GSD.shape
        x_LGD = graph.reshape(x, length, count, inputs)
        x_GLD = graph.node("Transpose", x_LGD, perm=[1, 0, 2])
        weight = graph.weight(name, blocks_GSD.transpose(0, 2, 1) * np.float32(factor))
        y_GLS = graph.node("MatMul", x_GLD, weight)
        return graph.reshape(graph.node("Transpose", y_GLS, perm=[1, 0, 2]), length, count * outputs)

    def _treat(
        self,
        x_LS: str,
        treatment: Treatment,
        entries: list[tuple[FeatureKey, FeatureGroup]],
        mixer: GraphMixer,
    ) -> None:
        """From projections to feature groups."""
        graph, length = self._graph, self._positions.length
        if treatment.windowed:
            x_LS = self._windowed(x_LS, entries)
        x_LS = graph.nonlinearity(treatment.nonlinearity, x_LS)
        if treatment.is_rate:
            biased_LS = graph.node("Add", x_LS, graph.constant(self._together("step_bias", entries)))
            rates_S = graph.constant(np.exp(self._together("log_rate", entries)))
            x_LS = graph.node("Mul", graph.node("Softplus", biased_LS), rates_S)
        if treatment.factor != 1:
            x_LS = graph.node("Mul", x_LS, graph.constant(treatment.factor))
        sizes = [group.shape.size for _, group in entries]
        if treatment.normed:
            x_LS = self._normed(graph.reshape(x_LS, length, -1, treatment.normed), entries, mixer)
        if treatment.turned:
            x_LS = self._positions.rotate(x_LS, sum(sizes) // treatment.turned, treatment.turned)
        elif treatment.normed:
            x_LS = graph.reshape(x_LS, length, -1)
        parts = graph.split(x_LS, sizes, -1)
        self._features.update(zip((key for key, _ in entries), parts, strict=True))

    def _windowed(self, x_LS: str, entries: list[tuple[FeatureKey, FeatureGroup]]) -> str:
        """Feature groups behind their short filter, whose window is one state."""
        (key, group), *_ = entries
        named = "".join(f"{group.role}{key.branch}" for key, group in entries)
        taps_S1K = self._together("short_filter", entries)[:, None]
        state = f"state.{key.layer}.window.{named}"
        window_WS = self._state_input(GraphState(state, (SHORT_FILTER - 1, len(taps_S1K))))
        name = f"backbone.layers.{group.weights_of}.short_filters.{named}"
        y_LS, new_WS = short_filter(self._graph, x_LS, window_WS, name, taps_S1K, self._positions.length)
        self._state_output(state, new_WS)
        return y_LS

    def _normed(self, x_LHE: str, entries: list[tuple[FeatureKey, FeatureGroup]], mixer: GraphMixer) -> str:
        """Each head normalised, times the weight of its group, which carries the factor of the group."""
        graph = self._graph
        weight_HE = np.concatenate(
            [
                np.tile(
                    self._weights[f"{_place(key.branch, group)}.norm"] * np.float32(mixer.factor(group)),
                    (group.shape.heads, 1),
                )
                for key, group in entries
            ]
        )
        unit_E = graph.constant(np.ones(weight_HE.shape[1]))
        unit_LHE = graph.node("RMSNormalization", x_LHE, unit_E, axis=-1, epsilon=NORM_EPSILON)
        return graph.node("Mul", unit_LHE, graph.constant(weight_HE))

    def _together(self, name: str, entries: list[tuple[FeatureKey, FeatureGroup]]) -> np.ndarray:
        """Weights of this name of several feature groups, one behind the other."""
        return np.concatenate(
            [self._weights[f"{_place(key.branch, group)}.{name}"] for key, group in entries]
        )

    def _treatment(self, group: FeatureGroup, mixer: GraphMixer) -> Treatment:
        genome, channels = group.genome, group.shape.channels
        is_normed = genome.nonlinearity is Nonlinearity.NORM
        return Treatment(
            windowed=genome.token_mixing == FILTERED,
            nonlinearity=genome.nonlinearity,
            is_rate=group.kind is Kind.RATE,
            factor=1.0 if is_normed or _is_linear(group) else mixer.factor(group),
            normed=channels if is_normed else 0,
            turned=channels if group.role in mixer.turned else 0,
        )

    def _mix(self, layer: Layer, branch: int, mixer: GraphMixer) -> str:
        """The operator of one branch; a state of which it has none is read where its features are made."""
        own = {state.name for state in layer.states}
        computed_by = {group.role: group.computed_by for group in layer.groups}
        features = {role: FeatureKey(owner, branch, role) for role, owner in computed_by.items()}
        read = {}
        dims = self._architecture.dims
        structure = structure_of(mixer.operator.token_mixing)
        roles = {
            state.name: min(state.roles)
            for state in structure.states(mixer.operator, mixer.groups, mixer.shapes, dims)
        }
        for state in mixer.states():
            owner = layer.index if state.name in own else computed_by[roles[state.name]]
            key = StateKey(owner, branch, state.name)
            if key not in self._states:
                named = GraphState(f"state.{owner}.{branch}.{state.name}", state.shape, state.grows)
                self._states[key] = self._state_input(named)
            read[state.name] = self._states[key]
        operands = Operands(
            {role: self._features[key] for role, key in features.items() if key in self._features},
            {role: self._filters[key] for role, key in features.items() if key in self._filters},
            read,
            self._positions,
        )
        y = mixer.write(self._graph, operands)
        for name, value in operands.new.items():
            if name in own:
                self._state_output(read[name], value)
        return y

    def _output(self, y: str, layer: Layer, place: str) -> str:
        """Its map to the residual stream, (L, D)."""
        graph, length = self._graph, self._positions.length
        (weight,) = (weight for weight in layer.weights if weight.name in ("output", "output_scale"))
        values, name = self._weights[f"{place}.{weight.name}"], f"{place}.{weight.name}"
        if weight.name == "output_scale":
            y_LED = graph.reshape(y, length, *values.shape)
            weighed_LED = graph.node("Mul", y_LED, graph.weight(name, values))
            return graph.node("ReduceSum", weighed_LED, graph.constant([1], np.int64), keepdims=0)
        if values.ndim == 3:
            return self._block_product(y, name)
        return graph.matrix_product(y, name, lambda: values)

    def _state_input(self, state: GraphState) -> str:
        self.states[state.name] = state
        return self._graph.input(state.name, state.shape)

    def _state_output(self, name: str, value: str) -> None:
        state, length = self.states[name], self._positions.length
        shape = tuple(length if axis == state.grows else size for axis, size in enumerate(state.shape))
        self._graph.output(value, f"{name}.new", shape)


def _users(architecture: Architecture) -> dict[tuple[int, str], tuple[int, ...]]:
    """(layer, role) of weights → layers that compute with them."""
    users: dict[tuple[int, str], list[int]] = {}
    for layer in architecture.layers:
        for group in layer.groups:
            if group.weights_of is not None:
                users.setdefault((group.weights_of, group.role), []).append(layer.index)
    return {key: tuple(layers) for key, layers in users.items()}


def _is_linear(group: FeatureGroup) -> bool:
    """Whether a factor of a feature group may be one of its projection."""
    return group.genome.nonlinearity is Nonlinearity.NONE and group.kind is Kind.FEATURE


def _projection_factor(group: FeatureGroup, mixer: GraphMixer) -> float:
    return mixer.factor(group) if _is_linear(group) else 1.0


def _place(branch: int, group: FeatureGroup) -> str:
    return f"backbone.layers.{group.weights_of}.featurizers.{branch}.{group.role}"
