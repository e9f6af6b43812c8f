"""Banded rows: every token reads the last W tokens, its own included, in blocks of W queries.

A block of W queries reads 2 W keys: those of its own block and of the one before. So cost and memory
are linear in the length.

Legend: B batch, L tokens of this pass, H heads, X channels, W window, S = W - 1 + L, K blocks.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from star_core.structures.low_rank import WINDOW


def with_window(x_BLHX: torch.Tensor, window_BSHX: torch.Tensor | None) -> torch.Tensor:
    """The W - 1 tokens before this pass (zeros where there are none) and those of it, (B, S, H, X)."""
    if window_BSHX is None:
        return functional.pad(x_BLHX, (0, 0, 0, 0, WINDOW - 1, 0))
    return torch.cat([window_BSHX.to(x_BLHX.dtype), x_BLHX], 1)


def query_blocks(x_BLHX: torch.Tensor) -> torch.Tensor:
    """(B · K, H, W, X); the last block is filled up with zeros."""
    x_BLHX = functional.pad(x_BLHX, (0, 0, 0, 0, 0, -x_BLHX.shape[1] % WINDOW))
    return torch.unflatten(x_BLHX, 1, (-1, WINDOW)).flatten(0, 1).transpose(1, 2)


def key_blocks(x_BSHX: torch.Tensor) -> torch.Tensor:
    """(B · K, H, 2 W, X): for each block of queries its own keys behind those of the block before."""
    x_BSHX = functional.pad(x_BSHX, (0, 0, 0, 0, 1, -(x_BSHX.shape[1] + 1) % WINDOW))
    blocks_BKWHX = torch.unflatten(x_BSHX, 1, (-1, WINDOW))
    pairs = torch.cat([blocks_BKWHX[:, :-1], blocks_BKWHX[:, 1:]], 2)
    return pairs.flatten(0, 1).transpose(1, 2)


def band_mask(batch: int, blocks: int, start: int, device: torch.device) -> torch.Tensor:
    """True where a query may read a key, (B · K, 1, W, 2 W).

    Args:
        batch: Sequences B.
        blocks: Blocks K.
        start: Position of the first query: keys that would lie before position 0 do not exist.
        device: Where the mask is needed.
    """
    query_W1 = torch.arange(WINDOW, device=device).unsqueeze(1)
    key_T = torch.arange(2 * WINDOW, device=device)
    mask_WT = (key_T > query_W1) & (key_T <= query_W1 + WINDOW)
    first_WT = mask_WT & (key_T >= WINDOW - start)
    mask_KWT = torch.stack([first_WT, *[mask_WT] * (blocks - 1)])
    return mask_KWT.repeat(batch, 1, 1).unsqueeze(1)


def unblock(y_NHWX: torch.Tensor, batch: int, length: int) -> torch.Tensor:
    """(B, L, H, X) from the outputs (B · K, H, W, X) of all blocks of queries."""
    return torch.unflatten(y_NHWX.transpose(1, 2), 0, (batch, -1)).flatten(1, 2)[:, :length]
