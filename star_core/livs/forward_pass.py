"""One pass of some tokens through a backbone: what its LIVs share and remember while it lasts.

Legend: B batch, L tokens of this pass, S tokens held after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import torch

from star_core.livs.featurizers import Featurizer
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
        featurizer: (layer, branch, role) → the featurizer with its weights; the layer owns them.
        reused: (layer, role) that a later layer reads: only those are kept.
        held: Inference state, or ``None`` for a pass that starts from nothing and keeps nothing.
    """

    def __init__(
        self,
        form: Form,
        positions: Positions,
        featurizer: Callable[[int, int, str], Featurizer],
        reused: frozenset[tuple[int, str]],
        held: Mapping[StateKey, torch.Tensor] | None = None,
    ) -> None:
        self.form, self.positions, self.featurizer = form, positions, featurizer
        self.held = held
        self.updates: dict[StateKey, torch.Tensor] = {}
        self._reused = reused
        self._features: dict[FeatureKey, torch.Tensor] = {}

    def recall(self, key: FeatureKey) -> torch.Tensor:
        """A feature group that this layer or an earlier one computed in this pass."""
        return self._features[key]

    def offer(self, key: FeatureKey, feature: torch.Tensor) -> None:
        """Keeps a feature group for its own layer and for later ones."""
        self._features[key] = feature

    def forget(self, layer: int) -> None:
        """Drops what a layer has computed and no later one reuses."""
        for key in [key for key in self._features if key.layer == layer]:
            if (key.layer, key.role) not in self._reused:
                del self._features[key]

    def append(self, key: StateKey, feature_BLHE: torch.Tensor) -> torch.Tensor:
        """Writes a feature group behind its history and returns all of it, (B, S, H, E)."""
        if self.held is None:
            return feature_BLHE
        start, end = self.positions.start, self.positions.start + self.positions.length
        history_BHSE = self.held[key]
        history_BHSE[:, :, start:end] = feature_BLHE.transpose(1, 2)
        return history_BHSE[:, :, :end].transpose(1, 2).to(feature_BLHE.dtype)
