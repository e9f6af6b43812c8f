"""Diagonal token mixing, a memoryless gated unit: T_ij = σ(C_i) if i = j else 0, applied to V.

With swish and expansion this is SwiGLU (arXiv 2002.05202); the operator genome's nonlinearity is σ.

Legend: B batch, L length, E channels.
"""

from __future__ import annotations

import torch

from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.nonlinearity import nonlinearity
from star_core.livs.rotary import Positions
from star_core.structures.diagonal import DIAGONAL


@register(DIAGONAL)
class Diagonal(Mixer):
    """y_i = σ(C_i) · V_i."""

    def reference(self, features: Features, positions: Positions) -> torch.Tensor:
        """T_BELL, a diagonal matrix per channel."""
        gate_BLE = nonlinearity(self.operator.nonlinearity, features["C"].flatten(2))
        T_BELL = torch.diag_embed(gate_BLE.transpose(1, 2))
        return torch.einsum("beij,bje->bie", T_BELL, features["V"].flatten(2))

    def parallel(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        """The product, token by token."""
        gate_BLE = nonlinearity(self.operator.nonlinearity, features["C"].flatten(2))
        return gate_BLE * features["V"].flatten(2), {}

    def step(self, features: Features, states: States, positions: Positions) -> tuple[torch.Tensor, States]:
        """The same: nothing is remembered."""
        return self.parallel(features, states, positions)
