"""Featurizers: how a layer's input becomes one feature group (arXiv 2411.17800, §3).

A token-dependent group is nonlinearity(short filter(projection(h))), each part as its genome says.
The A group of a recurrence is softplus(· + step bias) · exp(log rate); the K group of a convolution
does not depend on the input at all.

Legend: B batch, L length, D channels of the input, S channels of the feature group, W window.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from star_core.architecture import FeatureGroup
from star_core.livs.channel_map import channel_map, spread
from star_core.livs.long_filter import modal_filter
from star_core.livs.nonlinearity import nonlinearity
from star_core.livs.short_filter import short_filter, short_filter_step
from star_core.vocabulary.tables import ChannelMixing, Sparsity, TokenMixing


class Featurizer(nn.Module):
    """Computes one feature group; owns exactly the weights the compiled spec lists for it.

    Attributes:
        is_dense: Whether every channel reads every other.
        is_windowed: Whether it remembers the inputs of a short filter between tokens.
    """

    projection: nn.Parameter
    scale: nn.Parameter
    short_filter: nn.Parameter
    step_bias: nn.Parameter
    log_rate: nn.Parameter
    filter: nn.Parameter
    real: nn.Parameter
    imaginary: nn.Parameter
    decay: nn.Parameter
    frequency: nn.Parameter

    def __init__(self, group: FeatureGroup, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.role, self.genome, self.shape = group.role, group.genome, group.shape
        for weight in group.weights:
            allocated = torch.empty(weight.shape, device=device, dtype=dtype)
            self.register_parameter(weight.name, nn.Parameter(allocated))
        self.is_dense = self.role != "K" and self.genome.channel_mixing is ChannelMixing.DENSE
        self.is_windowed = self.role != "K" and self.genome.token_mixing is TokenMixing.TOEPLITZ

    def project(self, h_BLD: torch.Tensor) -> torch.Tensor | None:
        """The channel mixing alone, (B, L, S); ``None`` for K, which reads no input."""
        if self.role == "K":
            return None
        if self.genome.channel_mixing is ChannelMixing.DIAGONAL:
            return spread(h_BLD, self.scale)
        return channel_map(h_BLD, self.projection).to(h_BLD.dtype)

    def forward(
        self, x_BLS: torch.Tensor | None, window_BWS: torch.Tensor | None, one_token: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The feature group and the new window of its short filter.

        Args:
            x_BLS: What ``project`` makes of the layer's normalised input; ``None`` for K.
            window_BWS: Inputs of the short filter before these tokens; ``None`` stands for zeros.
            one_token: Compute in step form (L = 1, a window given).

        Returns:
            (B, L, heads, channels) and the window, ``None`` if there is no short filter. For K:
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
        if self.role == "A":
            x_BLS = functional.softplus(x_BLS + self.step_bias) * self.log_rate.exp()
        return x_BLS.reshape(*x_BLS.shape[:-1], self.shape.heads, self.shape.channels), new_window
