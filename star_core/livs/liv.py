"""A linear input-varying operator: feature groups → token mixing → output projection.

Legend: B batch, L length, D channels, E channels of the mixed sequence.
"""

from __future__ import annotations

import torch
from torch import nn

from star_core.architecture import Layer
from star_core.livs.channel_map import channel_map, gather
from star_core.livs.featurizers import Featurizer, project
from star_core.livs.forward_pass import FeatureKey, Form, ForwardPass, StateKey
from star_core.livs.mixer import States, mixer_of
from star_core.livs.norm import rms_norm
from star_core.livs.precision import full_precision, projection_input
from star_core.structures.base import Dimensions, structure_of


class LIV(nn.Module):
    """One layer of the backbone: W · T(norm(x)) norm(x), to be added to x.

    A differential LIV runs two branches with their own feature groups and states and projects
    y = T₁h - λ T₂h, with one learned λ (arXiv 2410.05258, generalised to every structure).

    Owns the weights the compiled spec assigns to this layer. Featurizers it shares with an earlier
    layer are reached through the pass, so that every weight is registered once.
    """

    norm: nn.Parameter
    output: nn.Parameter
    output_scale: nn.Parameter
    difference: nn.Parameter

    def __init__(self, layer: Layer, dims: Dimensions, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.index, self.branches, self.groups = layer.index, layer.branches, layer.groups
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
        operator = layer.liv_class.operator
        self.mixer = mixer_of(operator.token_mixing)(layer)
        self._own_states = frozenset(state.name for state in layer.states)
        self._histories = frozenset(state.name for state in layer.states if state.per_token)
        # A state dropped because its features are reused is read where those features are computed.
        computed_by = {group.role: group.computed_by for group in layer.groups}
        self._state_owners = {
            state.name: layer.index if state.name in self._own_states else computed_by[min(state.roles)]
            for state in structure_of(operator.token_mixing).states(
                operator, self.mixer.groups, self.mixer.shapes, dims
            )
            if not state.per_token
        }

    def forward(self, x_BLD: torch.Tensor, run: ForwardPass) -> torch.Tensor:
        """The layer's contribution to the residual stream, (B, L, D)."""
        h_BLD = projection_input(rms_norm(x_BLD, self.norm))
        featurizers = {
            FeatureKey(self.index, branch, group.role): run.featurizer(group.weights_of, branch, group.role)
            for branch in range(self.branches)
            for group in self.groups
            if group.weights_of is not None
        }
        projected = project(h_BLD, featurizers)
        for key, featurizer in featurizers.items():
            run.offer(key, self._feature(key, featurizer, projected.get(key), run))
        with full_precision(h_BLD):
            y_BLE = self._mix(run, 0)
            if self.branches == 2:
                y_BLE = y_BLE - self.difference.to(y_BLE.dtype) * self._mix(run, 1)
        run.forget(self.index)
        return gather(y_BLE, self.output_scale) if self._diagonal else channel_map(y_BLE, self.output)

    def _feature(
        self, key: FeatureKey, featurizer: Featurizer, x_BLS: torch.Tensor | None, run: ForwardPass
    ) -> torch.Tensor:
        window_key = StateKey(self.index, key.branch, f"{key.role}.window")
        window = run.held[window_key] if run.held is not None and featurizer.windowed else None
        feature, window = featurizer(x_BLS, window, run.form is Form.STEP)
        if run.held is not None and window is not None:
            run.updates[window_key] = window
        with full_precision(feature):
            feature = self.mixer.prepare(key.role, feature, run.positions)
        if key.role in self._histories:
            feature = run.append(StateKey(self.index, key.branch, key.role), feature)
        return feature

    def _mix(self, run: ForwardPass, branch: int) -> torch.Tensor:
        features = {
            group.role: run.recall(FeatureKey(group.computed_by, branch, group.role)) for group in self.groups
        }
        if run.form is Form.REFERENCE:
            return self.mixer.reference(features, run.positions)
        states: States | None = None
        if run.held is not None:
            states = {
                name: run.held[StateKey(owner, branch, name)] for name, owner in self._state_owners.items()
            }
        if run.form is Form.STEP and states is not None:
            y_BLE, new = self.mixer.step(features, states, run.positions)
        else:
            y_BLE, new = self.mixer.parallel(features, states, run.positions)
        for name in new.keys() & self._own_states:
            run.updates[StateKey(self.index, branch, name)] = new[name]
        return y_BLE
