"""Maps over channels: dense, grouped (a block per head) or diagonal (a factor per channel).

Legend: D channels in, S channels out, G blocks, E copies of the channels.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def channel_map(x_D: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A dense (S, D) or block-diagonal (G, S / G, D / G) matrix applied to the last axis."""
    if weight.dim() == 2:
        return functional.linear(x_D, weight)
    blocks_GD = torch.unflatten(x_D, -1, (weight.shape[0], -1))
    return torch.einsum("...gd,gsd->...gs", blocks_GD, weight).flatten(-2)


def spread(x_D: torch.Tensor, scale_ED: torch.Tensor) -> torch.Tensor:
    """E scaled copies of every channel, (…, E · D)."""
    return (x_D.unsqueeze(-2) * scale_ED.to(x_D.dtype)).flatten(-2)


def gather(x_S: torch.Tensor, scale_ED: torch.Tensor) -> torch.Tensor:
    """The scaled sum of the E copies of every channel, (…, D): the transpose of ``spread``."""
    return (torch.unflatten(x_S, -1, scale_ED.shape) * scale_ED.to(x_S.dtype)).sum(-2)
