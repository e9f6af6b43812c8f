"""Featurizers: how a layer's input becomes one feature group (arXiv 2411.17800, §3).

What each kind of group is of a layer's input is said in ``star_core/structures/feature_groups.py``.

Legend: B batch, L length, D channels of the input, S channels of the feature group (H heads of E), W window.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from star_core.architecture import FeatureGroup
from star_core.livs.channel_map import channel_map, spread
from star_core.livs.long_filter import modal_filter
from star_core.livs.nonlinearity import nonlinearity
from star_core.livs.norm import rms_norm
from star_core.livs.short_filter import short_filter, short_filter_step
from star_core.structures.feature_groups import Kind
from star_core.vocabulary.tables import FILTERED, ChannelMixing, Nonlinearity, Sparsity


class Featurizer(nn.Module):
    """Computes one feature group; owns exactly the weights the compiled spec lists for it.

    Attributes:
        is_dense: Whether every channel reads every other.
        is_windowed: Whether it remembers the inputs of a short filter between tokens.
        declared: Its weights, as the spec lists them.
    """

    projection: nn.Parameter
    scale: nn.Parameter
    short_filter: nn.Parameter
    norm: nn.Parameter
    step_bias: nn.Parameter
    log_rate: nn.Parameter
    filter: nn.Parameter
    real: nn.Parameter
    imaginary: nn.Parameter
    decay: nn.Parameter
    frequency: nn.Parameter

    def __init__(self, group: FeatureGroup, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.kind, self.genome, self.shape = group.kind, group.genome, group.shape
        self.declared = group.weights
        for weight in group.weights:
            allocated = torch.empty(weight.shape, device=device, dtype=dtype)
            self.register_parameter(weight.name, nn.Parameter(allocated))
        reads = self.kind is not Kind.FILTER
        self.is_dense = reads and self.genome.channel_mixing is ChannelMixing.DENSE
        self.is_windowed = reads and self.genome.token_mixing == FILTERED

    @property
    def decayed(self) -> tuple[str, ...]:
        """Names of its weights that weight decay applies to."""
        return tuple(weight.name for weight in self.declared if weight.decayed)

    def project(self, h_BLD: torch.Tensor) -> torch.Tensor | None:
        """The channel mixing alone, (B, L, S); ``None`` for a filter, which reads no input."""
        if self.kind is Kind.FILTER:
            return None
        if self.genome.channel_mixing is ChannelMixing.DIAGONAL:
            return spread(h_BLD, self.scale)
        return channel_map(h_BLD, self.projection).to(h_BLD.dtype)

    def forward(
        self, x_BLS: torch.Tensor | None, window_BWS: torch.Tensor | None, one_token: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The feature group and the new window of its short filter.

        Args:
            x_BLS: What ``project`` makes of the layer's normalised input; ``None`` for a filter.
            window_BWS: Inputs of the short filter before these tokens; ``None`` stands for zeros.
            one_token: Compute in step form (L = 1, a window given).

        Returns:
            (B, L, heads, channels) and the window, ``None`` if there is no short filter. A filter is
            (channels, channels read, taps), or a complex modal filter (see ``long_filter.py``).
        """
        if x_BLS is None:
            if self.genome.sparsity is Sparsity.BANDED:
                return self.filter, None
            return modal_filter(self.real, self.imaginary, self.decay, self.frequency), None
        new_window = None
        if self.is_windowed:
            taps_S1K = self.short_filter.unsqueeze(1)
            if one_token and window_BWS is not None:
                x_BLS, new_window = short_filter_step(x_BLS, taps_S1K, window_BWS)
            else:
                x_BLS, new_window = short_filter(x_BLS, taps_S1K, window_BWS)
        x_BLS = nonlinearity(self.genome.nonlinearity, x_BLS)
        if self.kind is Kind.RATE:
            x_BLS = functional.softplus(x_BLS + self.step_bias) * self.log_rate.exp()
        x_BLHE = x_BLS.reshape(*x_BLS.shape[:-1], self.shape.heads, self.shape.channels)
        if self.genome.nonlinearity is Nonlinearity.NORM:
            precise = torch.promote_types(x_BLHE.dtype, torch.float32)
            x_BLHE = rms_norm(x_BLHE.to(precise), self.norm.to(precise)).to(x_BLHE.dtype)
        return x_BLHE, new_window
