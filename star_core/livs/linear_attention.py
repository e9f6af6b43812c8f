"""Causal linear attention: y_i = Σ_{j<=i} (C_i · B_j) V_j through the running sum S_i = S_{i-1} + B_i V_iᵀ.

arXiv 2006.16236, §3.2, without its normalisation, which the mixer folds into C.

Legend: B batch, L length, H heads, E key channels, P value channels, Q tokens of a chunk, K chunks.
"""

from __future__ import annotations

import torch

from star_core.livs.chunks import chunks, unchunk

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
    after_BHKEP = (B.mT @ V).cumsum(2)
    if initial_BHEP is not None:
        after_BHKEP = after_BHKEP + initial_BHEP.unsqueeze(2)
    T_BHKQQ = (C @ B.mT).tril()
    if initial_BHEP is None and after_BHKEP.shape[2] == 1:
        return unchunk(T_BHKQQ @ V, length), after_BHKEP[:, :, -1]
    # Shifted, not subtracted: not a bit of a chunk's own tokens may reach the state before it.
    first_BH1EP = (
        torch.zeros_like(after_BHKEP[:, :, :1]) if initial_BHEP is None else initial_BHEP.unsqueeze(2)
    )
    before_BHKEP = torch.cat([first_BH1EP, after_BHKEP[:, :, :-1]], 2)
    carried_BHKQP = C @ before_BHKEP
    y_NQP = torch.baddbmm(carried_BHKQP.flatten(0, 2), T_BHKQQ.flatten(0, 2), V.flatten(0, 2))
    return unchunk(y_NQP.view_as(V), length), after_BHKEP[:, :, -1]


def linear_attention_step(
    C_BHE: torch.Tensor, B_BHE: torch.Tensor, V_BHP: torch.Tensor, state_BHEP: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token: y (B, H, P) and the state with it."""
    state_BHEP = state_BHEP + B_BHE.unsqueeze(-1) * V_BHP.unsqueeze(-2)
    return (C_BHE.unsqueeze(-2) @ state_BHEP).squeeze(-2), state_BHEP
