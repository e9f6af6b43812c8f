"""Causal convolution with a few explicit taps: y_i = Σ_t K_t u_{i-t}.

K_t is a matrix over channels: diagonal (I = 1), a block per head or dense (I = D).

Legend: B batch, L length, D channels, I channels that one channel reads, G = D / I blocks, K taps,
W = K - 1 remembered inputs.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def short_filter(
    u_BLD: torch.Tensor, filter_DIK: torch.Tensor, window_BWD: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Filters ``u`` along its tokens.

    Args:
        u_BLD: Inputs.
        filter_DIK: Taps; tap t weighs the input t tokens back.
        window_BWD: The inputs before ``u``, the latest first; ``None`` stands for zeros.

    Returns:
        Outputs (B, L, D) and the window to pass with the next inputs.
    """
    channels, inputs, taps = filter_DIK.shape
    if window_BWD is None:
        seen_BSD = functional.pad(u_BLD, (0, 0, taps - 1, 0))
    else:
        seen_BSD = torch.cat([window_BWD.to(u_BLD.dtype).flip(1), u_BLD], 1)
    # As an image of height one whose channels come last: on a CPU three to five times as fast as a
    # convolution in one dimension, which wants them first.
    image_BD1S = seen_BSD.transpose(1, 2).unsqueeze(2)
    taps_DI1K = filter_DIK.to(u_BLD.dtype).flip(-1).unsqueeze(2).contiguous(memory_format=torch.channels_last)
    y_BD1L = functional.conv2d(image_BD1S, taps_DI1K, groups=channels // inputs)
    return y_BD1L.squeeze(2).transpose(1, 2).contiguous(), seen_BSD[:, u_BLD.shape[1] :].flip(1)


def short_filter_step(
    u_B1D: torch.Tensor, filter_DIK: torch.Tensor, window_BWD: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """``short_filter`` for one token, without the overhead of a convolution."""
    seen_BKD = torch.cat([u_B1D, window_BWD.to(u_B1D.dtype)], 1)
    filter_DIK = filter_DIK.to(u_B1D.dtype)
    inputs = filter_DIK.shape[1]
    if inputs == 1:
        y_BD = (seen_BKD * filter_DIK.squeeze(1).T).sum(1)
    else:
        seen_BKGI = torch.unflatten(seen_BKD, -1, (-1, inputs))
        filter_GOIK = torch.unflatten(filter_DIK, 0, (-1, inputs))
        y_BD = torch.einsum("bkgi,goik->bgo", seen_BKGI, filter_GOIK).flatten(1)
    return y_BD.unsqueeze(1), seen_BKD[:, :-1]
