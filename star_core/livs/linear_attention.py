"""Causal linear attention: y_i = Σ_{j<=i} (C_i · B_j) V_j through the running sum S_i = S_{i-1} + B_i V_iᵀ.

arXiv 2006.16236, §3.2, without its normalisation, which the mixer folds into C.

Legend: B batch, L length, H heads, E key channels, P value channels, Q tokens of a chunk, K chunks,
N = B · K chunks of all sequences.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from star_core.livs.chunks import GROUP, carry, chunks, unchunk

CHUNK = 64
"""Tokens Q of a chunk: work is O(L · Q) inside chunks and O(L · E) between them."""


def linear_attention(C_BLHE: torch.Tensor, B_BLHE: torch.Tensor, V_BLHP: torch.Tensor) -> torch.Tensor:
    """All tokens of whole sequences at once, in matrix products: y, (B, L, H, P)."""
    length = V_BLHP.shape[1]
    size = min(CHUNK, length)
    missing = -length % size
    padded = (functional.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x for x in (C_BLHE, B_BLHE, V_BLHP))
    y_BLHP: torch.Tensor = _LinearAttention.apply(*padded, size)  # type: ignore[no-untyped-call]
    return y_BLHP[:, :length]


def linear_attention_from(
    C_BLHE: torch.Tensor, B_BLHE: torch.Tensor, V_BLHP: torch.Tensor, initial_BHEP: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same behind a state.

    Returns:
        y (B, L, H, P) and the state after the last token, (B, H, E, P).
    """
    length = V_BLHP.shape[1]
    C, B, V = (chunks(x, min(CHUNK, length)) for x in (C_BLHE, B_BLHE, V_BLHP))
    undecayed_11K1 = V.new_zeros(1, 1, V.shape[2], 1)
    before_BHKEP, state_BHEP = carry(undecayed_11K1, B.mT @ V, initial_BHEP)
    return unchunk((C @ B.mT).tril() @ V + C @ before_BHKEP, length), state_BHEP


def linear_attention_step(
    C_BHE: torch.Tensor, B_BHE: torch.Tensor, V_BHP: torch.Tensor, state_BHEP: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token: y (B, H, P) and the state with it."""
    state_BHEP = state_BHEP + B_BHE.unsqueeze(-1) * V_BHP.unsqueeze(-2)
    return (C_BHE.unsqueeze(-2) @ state_BHEP).squeeze(-2), state_BHEP


class _LinearAttention(torch.autograd.Function):
    """With T = tril(C Bᵀ) in a chunk and S the state before it, y = T V + C S.

    Backwards dT = tril(dy Vᵀ), dC = dT B + dy Sᵀ, dB = dTᵀ C + V dSᵀ, dV = Tᵀ dy + B dS, where
    dS is the sum of Cᵀ dy over later chunks. Head by head, which matrix products read in place: nothing
    is laid out anew.
    """

    @staticmethod
    def forward(
        ctx: Any, C_BLHE: torch.Tensor, B_BLHE: torch.Tensor, V_BLHP: torch.Tensor, size: int
    ) -> torch.Tensor:
        C, B, V = (_cut(x, size) for x in (C_BLHE, B_BLHE, V_BLHP))
        y_NQHP = torch.empty_like(V)
        kept = []
        for head in range(C.shape[2]):
            c, b, v = C[:, :, head], B[:, :, head], V[:, :, head]
            T_NQQ = (c @ b.mT).tril_()
            S_NEP = _sums(b.mT @ v, C_BLHE.shape[0], later=False)
            y_NQHP[:, :, head] = torch.baddbmm(T_NQQ @ v, c, S_NEP)
            kept += [T_NQQ, S_NEP]
        ctx.save_for_backward(C, B, V, *kept)
        ctx.size = size
        return y_NQHP.view_as(V_BLHP)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_BLHP: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        C, B, V, *kept = ctx.saved_tensors
        dy_NQHP = _cut(dy_BLHP, ctx.size)
        dC, dB, dV = torch.empty_like(C), torch.empty_like(B), torch.empty_like(V)
        for head in range(C.shape[2]):
            c, b, v, dy = C[:, :, head], B[:, :, head], V[:, :, head], dy_NQHP[:, :, head]
            T_NQQ, S_NEP = kept[2 * head : 2 * head + 2]
            dT_NQQ = (dy @ v.mT).tril_()
            dS_NEP = _sums(c.mT @ dy, dy_BLHP.shape[0], later=True)
            dC[:, :, head] = torch.baddbmm(dT_NQQ @ b, dy, S_NEP.mT)
            dB[:, :, head] = torch.baddbmm(dT_NQQ.mT @ c, v, dS_NEP.mT)
            dV[:, :, head] = torch.baddbmm(T_NQQ.mT @ dy, b, dS_NEP)
        return *(dx.view(*dy_BLHP.shape[:3], -1) for dx in (dC, dB, dV)), None


def _cut(x_BLHX: torch.Tensor, size: int) -> torch.Tensor:
    """(N, Q, H, X), a view where it can be."""
    return x_BLHX.reshape(-1, size, *x_BLHX.shape[2:])


def _sums(x_NEP: torch.Tensor, batch: int, later: bool) -> torch.Tensor:
    """For every chunk the sum over all earlier, or all later, chunks of its sequence; none of its own bits.

    In groups of ``GROUP`` chunks, each one matrix product with zeros and ones.
    """
    x_BKX = x_NEP.reshape(batch, -1, x_NEP[0].numel())
    groups = list(torch.split(x_BKX, GROUP, 1))
    sums, total_B1X = [], None
    for group_BGX in reversed(groups) if later else groups:
        ones_GG = x_NEP.new_ones(group_BGX.shape[1], group_BGX.shape[1])
        sum_BGX = (ones_GG.triu(1) if later else ones_GG.tril(-1)) @ group_BGX
        if total_B1X is not None:
            sum_BGX = sum_BGX + total_B1X
        edge = slice(0, 1) if later else slice(-1, None)
        total_B1X = sum_BGX[:, edge] + group_BGX[:, edge]
        sums.append(sum_BGX)
    sums = sums[::-1] if later else sums
    return (torch.cat(sums, 1) if len(sums) > 1 else sums[0]).view_as(x_NEP)
