"""The scan of a recurrence with one decay per head and token, in chunks (arXiv 2405.21060, §6).

S_i = exp(-f_i) S_{i-1} + f_i B_i V_iᵀ and y_i = S_iᵀ C_i. Inside a chunk that is a matrix T of Q × Q, from
the decays between its tokens; between chunks the states are carried by a matrix M of the decays between
them.

Legend: B batch, L length, H heads, N state, P channels per head, Q tokens of a chunk, K chunks,
Z = B · K chunks of all sequences.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from star_core.livs.chunks import GROUP, NEGLIGIBLE, carry, chunks, decays, unchunk

CHUNK = 16
"""Tokens Q of a chunk: work is O(L · Q) inside chunks and O(L / Q) between them."""

FORGOTTEN = 16.0
"""Largest -log a of one token: e^-16 is the rounding error of float32. Keeps sums of logs exact."""


def scan(
    C_BLHN: torch.Tensor, B_BLHN: torch.Tensor, V_BLHP: torch.Tensor, f_BLH1: torch.Tensor
) -> torch.Tensor:
    """All tokens of whole sequences at once, in matrix products: y, (B, L, H, P)."""
    batch, length, heads, _ = V_BLHP.shape
    size = min(CHUNK, length)
    missing = -length % size
    if length + missing > GROUP * size:
        return scan_from(C_BLHN, B_BLHN, V_BLHP, f_BLH1, None)[0]
    # Tokens that fill up the last chunk are zeros, which neither decay nor write.
    full = (C_BLHN, B_BLHN, V_BLHP, f_BLH1)
    C, B, V, f = (functional.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x for x in full)
    f_ZHQ1 = f.reshape(-1, size, heads).transpose(1, 2).unsqueeze(-1).contiguous()
    total_ZHQ1 = -f_ZHQ1.clamp(max=FORGOTTEN).cumsum(2)
    end_ZH11 = total_ZHQ1[:, :, -1:]
    inside_ZHQQ = decays(total_ZHQ1, total_ZHQ1) * f_ZHQ1.mT
    written_ZHQ1 = (end_ZH11 - total_ZHQ1).exp() * f_ZHQ1
    after_BHK1 = end_ZH11.view(batch, -1, heads, 1).transpose(1, 2).clamp(min=-NEGLIGIBLE).cumsum(2)
    # Shifted, not subtracted: not a bit of a chunk's own tokens may reach the state before it.
    before_BHK1 = functional.pad(after_BHK1[:, :, :-1], (0, 0, 1, 0))
    M_BHKK = decays(before_BHK1, after_BHK1, diagonal=0)
    cut = (x.reshape(-1, size, heads, x.shape[-1]) for x in (C, B, V))
    y_ZQHP: torch.Tensor = _Scan.apply(*cut, inside_ZHQQ, written_ZHQ1, total_ZHQ1.exp(), M_BHKK)  # type: ignore[no-untyped-call]
    return y_ZQHP.view(batch, -1, *V_BLHP.shape[2:])[:, :length]


def scan_from(
    C_BLHN: torch.Tensor,
    B_BLHN: torch.Tensor,
    V_BLHP: torch.Tensor,
    f_BLH1: torch.Tensor,
    initial_BHNP: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same behind a state (``None``: zeros), with autograd's own backward.

    Returns:
        y (B, L, H, P) and the state after the last token (B, H, N, P).
    """
    length = V_BLHP.shape[1]
    size = min(CHUNK, length)
    C, B, V, f = (chunks(x, size) for x in (C_BLHN, B_BLHN, V_BLHP, f_BLH1))
    # f B Vᵀ either way; the smaller of the two is scaled.
    B, V = (B * f, V) if B.shape[-1] <= V.shape[-1] else (B, V * f)
    total_BHKQ1 = -f.clamp(max=FORGOTTEN).cumsum(3)
    end_BHK1 = total_BHKQ1[:, :, :, -1]
    decay_BHKQQ = decays(total_BHKQ1, total_BHKQ1)
    T_BHKQQ = C @ B.mT * decay_BHKQQ
    written_BHKNP = (B * (end_BHK1.unsqueeze(-1) - total_BHKQ1).exp()).mT @ V
    before_BHKNP, state_BHNP = carry(end_BHK1, written_BHKNP, initial_BHNP)
    if initial_BHNP is None and before_BHKNP.shape[2] == 1:
        return unchunk(T_BHKQQ @ V, length), state_BHNP
    carried_BHKQP = (C * total_BHKQ1.exp()) @ before_BHKNP
    y_NQP = torch.baddbmm(carried_BHKQP.flatten(0, 2), T_BHKQQ.flatten(0, 2), V.flatten(0, 2))
    return unchunk(y_NQP.view_as(V), length), state_BHNP


class _Scan(torch.autograd.Function):
    """What is large of the scan: everything with channels, given all decays.

    With G = C Bᵀ, T = G · inside and the states before each chunk S = M (written · B)ᵀ V, it is
    y = T V + (read · C) S. Head by head, which matrix products read in place: nothing is laid out
    anew.
    """

    @staticmethod
    def forward(
        ctx: Any,
        C_ZQHN: torch.Tensor,
        B_ZQHN: torch.Tensor,
        V_ZQHP: torch.Tensor,
        inside_ZHQQ: torch.Tensor,
        written_ZHQ1: torch.Tensor,
        read_ZHQ1: torch.Tensor,
        M_BHKK: torch.Tensor,
    ) -> torch.Tensor:
        y_ZQHP = torch.empty_like(V_ZQHP)
        kept = []
        for head in range(C_ZQHN.shape[2]):
            c, b, v = C_ZQHN[:, :, head], B_ZQHN[:, :, head], V_ZQHP[:, :, head]
            G_ZQQ = c @ b.mT
            T_ZQQ = G_ZQQ * inside_ZHQQ[:, head]
            W_ZNP = (b * written_ZHQ1[:, head]).mT @ v
            S_ZNP = _between(M_BHKK[:, head], W_ZNP)
            y_ZQHP[:, :, head] = torch.baddbmm(T_ZQQ @ v, c * read_ZHQ1[:, head], S_ZNP)
            kept += [G_ZQQ, T_ZQQ, W_ZNP, S_ZNP]
        ctx.save_for_backward(C_ZQHN, B_ZQHN, V_ZQHP, inside_ZHQQ, written_ZHQ1, read_ZHQ1, M_BHKK, *kept)
        return y_ZQHP

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_ZQHP: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given, kept = ctx.saved_tensors[:7], ctx.saved_tensors[7:]
        C, B, V, inside, written, read, M = given
        dC, dB, dV, dinside, dwritten, dread, dM = grads = tuple(map(torch.empty_like, given))
        for head in range(C.shape[2]):
            c, b, v, dy = C[:, :, head], B[:, :, head], V[:, :, head], dy_ZQHP[:, :, head]
            G_ZQQ, T_ZQQ, W_ZNP, S_ZNP = kept[4 * head : 4 * head + 4]
            dT_ZQQ = dy @ v.mT
            dinside[:, head] = dT_ZQQ * G_ZQQ
            dG_ZQQ = dT_ZQQ.mul_(inside[:, head])
            dread_c_ZQN = dy @ S_ZNP.mT
            dC[:, :, head] = torch.baddbmm(dread_c_ZQN * read[:, head], dG_ZQQ, b)
            dread[:, head] = (dread_c_ZQN * c).sum(-1, keepdim=True)
            dS_ZNP = (c * read[:, head]).mT @ dy
            dM[:, head] = _flat(dS_ZNP, M) @ _flat(W_ZNP, M).mT
            dW_ZNP = _between(M[:, head].mT, dS_ZNP)
            dwritten_b_ZQN = v @ dW_ZNP.mT
            dB[:, :, head] = torch.baddbmm(dwritten_b_ZQN * written[:, head], dG_ZQQ.mT, c)
            dwritten[:, head] = (dwritten_b_ZQN * b).sum(-1, keepdim=True)
            dV[:, :, head] = torch.baddbmm(T_ZQQ.mT @ dy, b * written[:, head], dW_ZNP)
        return grads


def _flat(x_ZNP: torch.Tensor, M_BHKK: torch.Tensor) -> torch.Tensor:
    """(B, K, N · P)."""
    return x_ZNP.reshape(M_BHKK.shape[0], M_BHKK.shape[2], -1)


def _between(M_BKK: torch.Tensor, x_ZNP: torch.Tensor) -> torch.Tensor:
    """The matrix M over the chunks of each sequence, applied to their states."""
    return (M_BKK @ x_ZNP.reshape(len(M_BKK), M_BKK.shape[1], -1)).view_as(x_ZNP)
