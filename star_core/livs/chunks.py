"""Cutting sequences into chunks for batched matrix products, and joining them again.

Legend: B batch, L length, H heads, X channels, Q tokens of a chunk, K chunks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional


def chunks(x_BLHX: torch.Tensor, size: int) -> torch.Tensor:
    """(B, H, K, Q, X), contiguous; tokens are filled up with zeros."""
    missing = -x_BLHX.shape[1] % size
    if missing:
        x_BLHX = functional.pad(x_BLHX, (0, 0, 0, 0, 0, missing))
    x_BHKQX: torch.Tensor = _ToChunks.apply(x_BLHX, size)  # type: ignore[no-untyped-call]
    return x_BHKQX


def unchunk(x_BHKQX: torch.Tensor, length: int) -> torch.Tensor:
    """(B, L, H, X): the first ``length`` tokens of all chunks."""
    x_BLHX: torch.Tensor = _FromChunks.apply(x_BHKQX)  # type: ignore[no-untyped-call]
    return x_BLHX[:, :length]


def _cut(x_BLHX: torch.Tensor, size: int) -> torch.Tensor:
    return torch.unflatten(x_BLHX, 1, (-1, size)).permute(0, 3, 1, 2, 4).contiguous()


def _join(x_BHKQX: torch.Tensor) -> torch.Tensor:
    return x_BHKQX.permute(0, 2, 3, 1, 4).contiguous().flatten(1, 2)


class _ToChunks(torch.autograd.Function):
    """Differs from autograd's own in that the gradient is contiguous too.

    Elementwise operations on a CPU take several times as long where gradient and features are laid
    out differently in memory.
    """

    @staticmethod
    def forward(ctx: Any, x_BLHX: torch.Tensor, size: int) -> torch.Tensor:
        return _cut(x_BLHX, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BHKQX: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _join(dy_BHKQX), None


class _FromChunks(torch.autograd.Function):
    """The inverse of ``_ToChunks``, with a contiguous gradient for the same reason."""

    @staticmethod
    def forward(ctx: Any, x_BHKQX: torch.Tensor) -> torch.Tensor:
        ctx.size = x_BHKQX.shape[3]
        return _join(x_BHKQX)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BLHX: torch.Tensor) -> torch.Tensor:
        return _cut(dy_BLHX, ctx.size)
