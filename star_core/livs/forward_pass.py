"""One pass of some tokens through a backbone: what its LIVs share and remember while it lasts.

Legend: B batch, L tokens of this pass, S tokens held after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import torch

from star_core.livs.rotary import Positions


class Form(StrEnum):
    """Which of the three agreeing forms of every operator computes the pass."""

    REFERENCE = "reference"
    PARALLEL = "parallel"
    STEP = "step"


class StateKey(NamedTuple):
    """One tensor of inference state: layer, branch (1 only for differential LIVs), name in the spec."""

    layer: int
    branch: int
    name: str


class FeatureKey(NamedTuple):
    """One computed feature group: the layer that computed it, branch, role."""

    layer: int
    branch: int
    role: str


class ForwardPass:
    """Reused features by key, the states before the pass, and those it will leave behind.

    States of constant size are never written during a pass: a LIV without a state of its own reads
    its owner's from before the pass and computes the rest itself. ``updates`` are stored at the end.
    Histories (keys and values) are written into their place at once; their readers come later.

    Args:
        form: The form of every operator in this pass.
        positions: Of its tokens.
        reused: (layer, role) that a later layer reads: only those are kept.
        held: Inference state, or ``None`` for a pass that starts from nothing and keeps nothing.
    """

    def __init__(
        self,
        form: Form,
        positions: Positions,
        reused: frozenset[tuple[int, str]],
        held: Mapping[StateKey, torch.Tensor] | None = None,
    ) -> None:
        self.form, self.positions = form, positions
        self.held = held
        self.updates: dict[StateKey, torch.Tensor] = {}
        self._reused = reused
        self._features: dict[FeatureKey, torch.Tensor] = {}

    def recall(self, key: FeatureKey) -> torch.Tensor:
        """A feature group that an earlier layer computed in this pass."""
        return self._features[key]

    def offer(self, computed: Mapping[FeatureKey, torch.Tensor]) -> None:
        """Keeps those feature groups of a layer that later ones reuse."""
        if self._reused:
            for key, feature in computed.items():
                if (key.layer, key.role) in self._reused:
                    self._features[key] = feature

    def append(self, key: StateKey, feature_BLHE: torch.Tensor) -> torch.Tensor:
        """Writes a feature group behind its history and returns all of it, (B, S, H, E)."""
        if self.held is None:
            return feature_BLHE
        start, end = self.positions.start, self.positions.start + self.positions.length
        history_BHSE = self.held[key]
        history_BHSE[:, :, start:end] = feature_BLHE.transpose(1, 2)
        history_BSHE = history_BHSE[:, :, :end].transpose(1, 2)
        same = history_BSHE.dtype == feature_BLHE.dtype
        return history_BSHE if same else history_BSHE.to(feature_BLHE.dtype)
