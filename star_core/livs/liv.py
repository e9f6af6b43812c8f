"""A linear input-varying operator: feature groups → token mixing → output projection.

Legend: B batch, L length, D channels, E channels of the mixed sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from star_core.architecture import Layer
from star_core.livs.channel_map import channel_map, gather
from star_core.livs.featurizers import Featurizer
from star_core.livs.forward_pass import FeatureKey, Form, ForwardPass, StateKey
from star_core.livs.mixer import mixer_of
from star_core.livs.norm import rms_norm
from star_core.livs.precision import full_precision, projection_input
from star_core.livs.projections import projections
from star_core.structures.registered import structure_of
from star_core.structures.shapes import Dimensions


@dataclass(frozen=True, slots=True)
class _Computed:
    """A feature group that a layer computes: with which weights, and what it remembers under which key."""

    key: FeatureKey
    featurizer: Featurizer
    window: StateKey | None
    history: StateKey | None


@dataclass(frozen=True, slots=True)
class _Branch:
    """Where one branch of a layer finds its features and states, and which states it writes."""

    features: dict[str, FeatureKey]
    read: dict[str, StateKey]
    written: dict[str, StateKey]


class LIV(nn.Module):
    """One layer of the backbone: W · T(norm(x)) norm(x), to be added to x.

    A differential LIV runs two branches with their own feature groups and states and projects
    y = T₁h - λ T₂h, with one learned λ (arXiv 2410.05258, generalised to every structure).

    Owns the weights the compiled spec assigns to this layer; ``declared`` are those beside its featurizers.
    ``connect`` must be called before use.
    """

    norm: nn.Parameter
    output: nn.Parameter
    output_scale: nn.Parameter
    difference: nn.Parameter

    def __init__(self, layer: Layer, dims: Dimensions, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self._layer, self.declared = layer, layer.weights
        self._diagonal = any(weight.name == "output_scale" for weight in layer.weights)
        for weight in layer.weights:
            allocated = torch.empty(weight.shape, device=device, dtype=dtype)
            self.register_parameter(weight.name, nn.Parameter(allocated))
        self.featurizers = nn.ModuleList(
            nn.ModuleDict(
                {
                    group.role: Featurizer(group, device, dtype)
                    for group in layer.groups
                    if group.weights_of == layer.index
                }
            )
            for _ in range(layer.branches)
        )
        self.mixer = mixer_of(layer.liv_class.operator.token_mixing)(layer)
        self._branches = [self._branch(branch, dims) for branch in range(layer.branches)]
        self._computed: list[_Computed] = []
        self._dense: list[_Computed] = []
        self._sparse: list[_Computed] = []

    def connect(self, layers: Sequence[LIV]) -> None:
        """Looks up the featurizers that the layer computes with, its own and those of earlier layers.

        They are kept outside of torch's registry: every weight is registered once, with its owner.
        """
        index = self._layer.index
        histories = {state.name for state in self._layer.states if state.per_token}
        for branch in range(self._layer.branches):
            for group in self._layer.groups:
                if group.weights_of is None:
                    continue
                featurizer, role = layers[group.weights_of].featurizer(branch, group.role), group.role
                window = StateKey(index, branch, f"{role}.window") if featurizer.is_windowed else None
                history = StateKey(index, branch, role) if role in histories else None
                self._computed.append(_Computed(FeatureKey(index, branch, role), featurizer, window, history))
        self._dense = [group for group in self._computed if group.featurizer.is_dense]
        self._sparse = [group for group in self._computed if not group.featurizer.is_dense]

    @property
    def decayed(self) -> tuple[str, ...]:
        """Names of its weights that weight decay applies to."""
        return tuple(weight.name for weight in self.declared if weight.decayed)

    def featurizer(self, branch: int, role: str) -> Featurizer:
        """One of the featurizers whose weights this layer owns."""
        owned = self.featurizers[branch]
        assert isinstance(owned, nn.ModuleDict)
        found = owned[role]
        assert isinstance(found, Featurizer)
        return found

    def forward(self, x_BLD: torch.Tensor, run: ForwardPass) -> torch.Tensor:
        """The layer's contribution to the residual stream, (B, L, D)."""
        h_BLD = projection_input(rms_norm(x_BLD, self.norm))
        dense = projections(h_BLD, [group.featurizer.projection for group in self._dense])
        projected: dict[FeatureKey, torch.Tensor | None] = dict(
            zip((group.key for group in self._dense), dense, strict=True)
        )
        for group in self._sparse:
            projected[group.key] = group.featurizer.project(h_BLD)
        with full_precision(h_BLD):
            computed = {
                group.key: self._feature(group, projected[group.key], run) for group in self._computed
            }
            run.offer(computed)
            y_BLE = self._mix(self._branches[0], computed, run)
            if len(self._branches) == 2:
                y_BLE = y_BLE - self.difference.to(y_BLE.dtype) * self._mix(self._branches[1], computed, run)
        y_BLE = y_BLE if y_BLE.dtype == h_BLD.dtype else y_BLE.to(h_BLD.dtype)
        return gather(y_BLE, self.output_scale) if self._diagonal else channel_map(y_BLE, self.output)

    def _feature(self, group: _Computed, x_BLS: torch.Tensor | None, run: ForwardPass) -> torch.Tensor:
        held = run.held
        window = None if group.window is None or held is None else held[group.window]
        feature, window = group.featurizer(x_BLS, window, run.form is Form.STEP)
        feature = self.mixer.prepare(group.key.role, feature, run.positions)
        if group.window is not None and held is not None and window is not None:
            run.updates[group.window] = window
        return feature if group.history is None else run.append(group.history, feature)

    def _mix(
        self, branch: _Branch, computed: Mapping[FeatureKey, torch.Tensor], run: ForwardPass
    ) -> torch.Tensor:
        features = {
            role: computed[key] if key in computed else run.recall(key)
            for role, key in branch.features.items()
        }
        if run.form is Form.REFERENCE:
            return self.mixer.reference(features, run.positions)
        held = run.held
        states = None if held is None else {name: held[key] for name, key in branch.read.items()}
        if run.form is Form.STEP and states is not None:
            y_BLE, new = self.mixer.step(features, states, run.positions)
        else:
            y_BLE, new = self.mixer.parallel(features, states, run.positions)
        for name, state in new.items():
            if name in branch.written:
                run.updates[branch.written[name]] = state
        return y_BLE

    def _branch(self, branch: int, dims: Dimensions) -> _Branch:
        layer, operator = self._layer, self._layer.liv_class.operator
        computed_by = {group.role: group.computed_by for group in layer.groups}
        own = {state.name for state in layer.states}
        constant = [
            state
            for state in structure_of(operator.token_mixing).states(
                operator, self.mixer.groups, self.mixer.shapes, dims
            )
            if not state.per_token
        ]
        # A state dropped because its features are reused is read where those features are computed.
        owners = {
            state.name: layer.index if state.name in own else computed_by[min(state.roles)]
            for state in constant
        }
        read = {name: StateKey(owner, branch, name) for name, owner in owners.items()}
        return _Branch(
            features={role: FeatureKey(owner, branch, role) for role, owner in computed_by.items()},
            read=read,
            written={name: key for name, key in read.items() if name in own},
        )
