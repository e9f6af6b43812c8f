"""Sequentially semi-separable token mixing: T_ij = C_i · (a_{j+1} … a_i) f_j B_j / √N for j <= i.

The recurrence of Mamba-2 (arXiv 2405.21060). The A group is f_i = δ_i ρ, step size times rate of its
head; the decay is a_i = exp(-f_i) and a state S of N × P per head follows

    S_i = a_i S_{i-1} + f_i B_i V_iᵀ,        y_i = S_iᵀ C_i / √N.

Mamba-2 writes δ_i where f_i = ρ δ_i stands: ours is its state times ρ. The weights Π a · f then sum to
about one, so the operator averages over its memory, as attention does, whatever the rate of a head.

Legend: B batch, L length, H heads, N state, P channels per head, Q tokens of a chunk, K chunks.
"""

from __future__ import annotations

import math

import torch

from star_core.livs.chunks import carry, chunks, decays, unchunk
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.rotary import Positions
from star_core.structures.semi_separable import FORGOTTEN, SEMI_SEPARABLE

CHUNK = 32
"""Tokens Q of a chunk: work is O(L · Q) inside chunks and O(L / Q) between them."""


@register(SEMI_SEPARABLE)
class SemiSeparable(Mixer):
    """A scalar decay per head and token, a matrix-valued state."""

    def reference(self, features: Features, positions: Positions) -> torch.Tensor:
        """T_BHLL, with the product of decays as the exponential of a difference of sums."""
        C_BHLN, B_BHLN, V_BHLP, f_BHL1 = (x.transpose(1, 2) for x in self._expand(features))
        total_BHL1 = -f_BHL1.clamp(max=FORGOTTEN).cumsum(2)
        decay_BHLL = (total_BHL1 - total_BHL1.mT).tril().exp().tril()
        T_BHLL = C_BHLN @ (f_BHL1 * B_BHLN).mT * decay_BHLL
        return (T_BHLL @ V_BHLP).transpose(1, 2).flatten(2)

    def parallel(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        """Chunks of Q tokens, all at once; only the states between chunks are a sequence."""
        C_BLHN, B_BLHN, V_BLHP, f_BLH1 = self._expand(features)
        initial = None if states is None else states["state"].to(V_BLHP.dtype)
        y_BLHP, state_BHNP = chunked_scan(C_BLHN, B_BLHN, V_BLHP, f_BLH1, initial)
        return y_BLHP.flatten(2).to(features["V"].dtype), {} if states is None else {"state": state_BHNP}

    def step(self, features: Features, states: States, positions: Positions) -> tuple[torch.Tensor, States]:
        """One update of the state, one read-out."""
        C_BHN, B_BHN, V_BHP, f_BH1 = (x.squeeze(1) for x in self._expand(features))
        decay_BH11 = torch.exp(-f_BH1.clamp(max=FORGOTTEN)).unsqueeze(-1)
        written_BHNP = B_BHN.unsqueeze(-1) * (f_BH1 * V_BHP).unsqueeze(-2)
        state_BHNP = torch.addcmul(written_BHNP, decay_BH11, states["state"].to(V_BHP.dtype))
        y_BHP = (C_BHN.unsqueeze(-2) @ state_BHNP).squeeze(-2)
        return y_BHP.flatten(1).unsqueeze(1).to(features["V"].dtype), {"state": state_BHNP}

    def _expand(self, features: Features) -> tuple[torch.Tensor, ...]:
        """All groups with every head, at least in float32; the read-out scaled by 1/√N."""
        full = []
        for role in "CBVA":
            x, repeat = features[role], self.groups[role].repeat
            x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            full.append(x.repeat_interleave(repeat, 2) if repeat > 1 else x)
        return full[0] / math.sqrt(full[0].shape[-1]), *full[1:]


def chunked_scan(
    C_BLHN: torch.Tensor,
    B_BLHN: torch.Tensor,
    V_BLHP: torch.Tensor,
    f_BLH1: torch.Tensor,
    initial_BHNP: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The recurrence over L tokens, from an initial state (``None``: zeros).

    Tokens that fill up the last chunk are zeros, which neither decay nor write.

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
