"""Causal linear attention: y_i = Σ_{j<=i} (C_i · B_j) V_j through the running sum S_i = S_{i-1} + B_i V_iᵀ.

arXiv 2006.16236, §3.2, without its normalisation, which the mixer folds into C.

Legend: B batch, L length, H heads, E key channels, P value channels, Q tokens of a chunk, K chunks.
"""

from __future__ import annotations

import torch

from star_core.livs.chunks import carry, chunks, unchunk

CHUNK = 64
"""Tokens Q of a chunk: work is O(L · Q) inside chunks and O(L · E) between them."""


def linear_attention(
    C_BLHE: torch.Tensor, B_BLHE: torch.Tensor, V_BLHP: torch.Tensor, initial_BHEP: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """All chunks at once, in matrix products, from an initial state (``None``: zeros).

    Returns:
        y (B, L, H, P) and the state after the last token, (B, H, E, P).
    """
    length = V_BLHP.shape[1]
    size = min(CHUNK, length)
    C, B, V = (chunks(x, size) for x in (C_BLHE, B_BLHE, V_BLHP))
    written_BHKEP = B.mT @ V
    undecayed_11K1 = V.new_zeros(1, 1, V.shape[2], 1)
    before_BHKEP, state_BHEP = carry(undecayed_11K1, written_BHKEP, initial_BHEP)
    T_BHKQQ = (C @ B.mT).tril()
    if initial_BHEP is None and before_BHKEP.shape[2] == 1:
        return unchunk(T_BHKQQ @ V, length), state_BHEP
    y_NQP = torch.baddbmm((C @ before_BHKEP).flatten(0, 2), T_BHKQQ.flatten(0, 2), V.flatten(0, 2))
    return unchunk(y_NQP.view_as(V), length), state_BHEP


def linear_attention_step(
    C_BHE: torch.Tensor, B_BHE: torch.Tensor, V_BHP: torch.Tensor, state_BHEP: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token: y (B, H, P) and the state with it."""
    state_BHEP = state_BHEP + B_BHE.unsqueeze(-1) * V_BHP.unsqueeze(-2)
    return (C_BHE.unsqueeze(-2) @ state_BHEP).squeeze(-2), state_BHEP
