"""Causal depthwise convolution with a few explicit taps: y_i = Σ_t K_t u_{i-t}.

Legend: B batch, L length, D channels, K taps, W = K - 1 remembered inputs.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def short_filter(
    u_BLD: torch.Tensor, filter_DK: torch.Tensor, window_BWD: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Filters ``u`` along its tokens.

    Args:
        u_BLD: Inputs.
        filter_DK: Taps per channel; tap t weighs the input t tokens back.
        window_BWD: The inputs before ``u``; ``None`` stands for zeros.

    Returns:
        Outputs (B, L, D) and the window to pass with the next inputs.
    """
    channels, taps = filter_DK.shape
    if window_BWD is None:
        padded_BDL = functional.pad(u_BLD.transpose(1, 2), (taps - 1, 0))
    else:
        padded_BDL = torch.cat([window_BWD.to(u_BLD.dtype), u_BLD], 1).transpose(1, 2)
    y_BDL = functional.conv1d(padded_BDL, filter_DK.flip(-1).unsqueeze(1), groups=channels)
    # Contiguous, because attention and matrix products are slow on features with strided channels.
    return y_BDL.transpose(1, 2).contiguous(), padded_BDL[
        :, :, padded_BDL.shape[-1] - (taps - 1) :
    ].transpose(1, 2)


def short_filter_step(
    u_B1D: torch.Tensor, filter_DK: torch.Tensor, window_BWD: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``short_filter`` for one token, without the overhead of a convolution."""
    seen_BKD = torch.cat([window_BWD.to(u_B1D.dtype), u_B1D], 1)
    y_B1D = (seen_BKD * filter_DK.flip(-1).T).sum(1, keepdim=True)
    return y_B1D, seen_BKD[:, 1:]
