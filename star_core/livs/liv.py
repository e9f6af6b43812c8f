"""A linear input-varying operator: feature groups → token mixing → output projection.

Legend: B batch, L length, D channels, E channels of the mixed sequence.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from star_core.architecture import FeatureGroup, Layer
from star_core.livs.featurizers import Featurizer
from star_core.livs.forward_pass import FeatureKey, Form, ForwardPass, StateKey
from star_core.livs.mixer import States, mixer_of
from star_core.livs.norm import rms_norm
from star_core.livs.precision import full_precision
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
    difference: nn.Parameter

    def __init__(self, layer: Layer, dims: Dimensions, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.index, self.branches, self.groups = layer.index, layer.branches, layer.groups
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
        token_mixing = layer.liv_class.operator.token_mixing
        self.mixer = mixer_of(token_mixing)(layer)
        self._own_states = frozenset(state.name for state in layer.states)
        self._histories = frozenset(state.name for state in layer.states if state.per_token)
        # A state dropped because its features are reused is read where those features are computed.
        computed_by = {group.role: group.computed_by for group in layer.groups}
        self._state_owners = {
            state.name: layer.index if state.name in self._own_states else computed_by[min(state.roles)]
            for state in structure_of(token_mixing).states(self.mixer.groups, self.mixer.shapes, dims)
            if not state.per_token
        }

    def forward(self, x_BLD: torch.Tensor, run: ForwardPass) -> torch.Tensor:
        """The layer's contribution to the residual stream, (B, L, D)."""
        h_BLD = rms_norm(x_BLD, self.norm)
        y_BLE = self._mix(h_BLD, run, 0)
        if self.branches == 2:
            y_BLE = y_BLE - self.difference * self._mix(h_BLD, run, 1)
        return functional.linear(y_BLE, self.output)

    def _mix(self, h_BLD: torch.Tensor, run: ForwardPass, branch: int) -> torch.Tensor:
        features = {group.role: self._feature(group, h_BLD, run, branch) for group in self.groups}
        with full_precision(h_BLD):
            if run.form is Form.REFERENCE:
                return self.mixer.reference(features)
            states: States | None = None
            if run.held is not None:
                states = {
                    name: run.held[StateKey(owner, branch, name)]
                    for name, owner in self._state_owners.items()
                }
            if run.form is Form.STEP and states is not None:
                y_BLE, new = self.mixer.step(features, states)
            else:
                y_BLE, new = self.mixer.parallel(features, states)
        for name in new.keys() & self._own_states:
            run.updates[StateKey(self.index, branch, name)] = new[name]
        return y_BLE

    def _feature(
        self, group: FeatureGroup, h_BLD: torch.Tensor, run: ForwardPass, branch: int
    ) -> torch.Tensor:
        key = FeatureKey(group.computed_by, branch, group.role)
        if group.computed_by != self.index or group.weights_of is None:
            return run.recall(key)
        featurizer = run.featurizer(group.weights_of, branch, group.role)
        window_key = StateKey(self.index, branch, f"{group.role}.window")
        window = run.held[window_key] if run.held is not None and featurizer.windowed else None
        feature, window = featurizer(h_BLD, window, run.form is Form.STEP)
        if run.held is not None and window is not None:
            run.updates[window_key] = window
        with full_precision(h_BLD):
            feature = self.mixer.prepare(group.role, feature, run.positions)
        if group.role in self._histories:
            feature = run.append(StateKey(self.index, branch, group.role), feature)
        run.offer(key, feature)
        return feature
