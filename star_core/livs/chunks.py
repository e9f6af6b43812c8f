"""Recurrences in chunks: cutting sequences for batched matrix products, and carrying states between them.

Legend: B batch, L length, H heads, X channels, Q tokens of a chunk, K chunks, G chunks of a group,
N × P state.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

GROUP = 64
"""Chunks whose states are found at once: work is O(L / Q · GROUP)."""

NEGLIGIBLE = 40.0
"""Largest -log of the decay over a chunk: e^-40 is less than the rounding error of float64."""


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


def carry(
    decay_BHK1: torch.Tensor, written_BHKNP: torch.Tensor, initial_BHNP: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The recurrence over chunks: S_k = exp(decay_k) S_{k-1} + W_k, in groups of ``GROUP`` of them.

    Inside a group it is a matrix product with the decays between all its chunks.

    Returns:
        The state before every chunk, (B, H, K, N, P), and that after the last.
    """
    sizes = written_BHKNP.shape[3:]
    state_BH1X = None if initial_BHNP is None else initial_BHNP.flatten(2).unsqueeze(2)
    before = []
    groups = zip(
        torch.split(decay_BHK1.clamp(min=-NEGLIGIBLE), GROUP, 2),
        torch.split(written_BHKNP.flatten(3), GROUP, 2),
        strict=True,
    )
    for decay_BHG1, written_BHGX in groups:
        after_BHG1 = decay_BHG1.cumsum(2)
        # Shifted, not subtracted: not a bit of a chunk's own tokens may reach the state before it.
        before_BHG1 = functional.pad(after_BHG1[:, :, :-1], (0, 0, 1, 0))
        carried_BHGX = decays(before_BHG1, after_BHG1, diagonal=0) @ written_BHGX
        if state_BH1X is not None:
            carried_BHGX = torch.addcmul(carried_BHGX, before_BHG1.exp(), state_BH1X)
        before.append(carried_BHGX)
        last = slice(-1, None)
        state_BH1X = torch.addcmul(
            written_BHGX[:, :, last], decay_BHG1[:, :, last].exp(), carried_BHGX[:, :, last]
        )
    before_BHKX = torch.cat(before, 2) if len(before) > 1 else before[0]
    assert state_BH1X is not None
    return torch.unflatten(before_BHKX, 3, sizes), torch.unflatten(state_BH1X.squeeze(2), 2, sizes)


def decays(row_KQ1: torch.Tensor, column_KQ1: torch.Tensor, diagonal: int = 1) -> torch.Tensor:
    """exp(row_i - column_j) below the given diagonal, else 0; masked first, because the rest overflows."""
    future_QQ = row_KQ1.new_full((row_KQ1.shape[-2],) * 2, -math.inf).triu(diagonal)
    return (row_KQ1 - column_KQ1.mT + future_QQ).exp()


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
