"""The backbone: a pre-norm residual stack of LIVs, x ← x + LIV(x), and a final norm.

Legend: B batch, L length, D channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from star_core.architecture import Architecture
from star_core.livs import Form, ForwardPass, StateKey, build_liv
from star_core.livs.norm import rms_norm
from star_core.livs.rotary import Positions


class Backbone(nn.Module):
    """The layers of a compiled genome in order of depth.

    Args:
        arch: The compiled genome.
        generator: On the CPU; draws the weights layer by layer.
        device: Where the weights go.
        dtype: Of the weights.
    """

    def __init__(
        self, arch: Architecture, generator: torch.Generator, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__()
        depth = len(arch.layers)
        layers = [build_liv(layer, arch.dims, depth, generator, device, dtype) for layer in arch.layers]
        for liv in layers:
            liv.connect(layers)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.Parameter(torch.ones(arch.width, device=device, dtype=dtype))
        self._reused = frozenset(
            (group.computed_by, group.role)
            for layer in arch.layers
            for group in layer.groups
            if group.computed_by != layer.index
        )

    def forward(
        self,
        x_BLD: torch.Tensor,
        form: Form = Form.PARALLEL,
        start: int = 0,
        held: Mapping[StateKey, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, dict[StateKey, torch.Tensor]]:
        """Runs L tokens through all layers.

        Args:
            x_BLD: Embedded tokens.
            form: Which of the agreeing forms of every operator to compute.
            start: Position of the first of them.
            held: Inference state from the tokens before; ``None`` if there is none and none is kept.

        Returns:
            The normalised residual stream (B, L, D), and the states to store.
        """
        positions = Positions(start, x_BLD.shape[1])
        run = ForwardPass(form, positions, self._reused, held)
        for liv in self.layers:
            x_BLD = x_BLD + liv(x_BLD, run)
        return rms_norm(x_BLD, self.norm), run.updates
