"""Sequentially semi-separable token mixing: T_ij = C_i · (a_{j+1} … a_i) f_j B_j / √N for j <= i.

The recurrence of Mamba-2 (arXiv 2405.21060). The A group is f_i = δ_i ρ, step size times rate of its
head; the decay is a_i = exp(-f_i) and a state S of N × P per head follows

    S_i = a_i S_{i-1} + f_i B_i V_iᵀ,        y_i = S_iᵀ C_i / √N.

Mamba-2 writes δ_i where f_i = ρ δ_i stands: ours is its state times ρ. The weights Π a · f then sum to
about one, so the operator averages over its memory, as attention does, whatever the rate of a head.

Legend: B batch, L length, H heads, N state, P channels per head.
"""

from __future__ import annotations

import math

import torch

from star_core.genome.tables import TokenMixing
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.rotary import Positions
from star_core.livs.scan import FORGOTTEN, scan, scan_from


@register(TokenMixing.SEMI_SEPARABLE)
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
        if states is None:
            y_BLHP, kept = scan(C_BLHN, B_BLHN, V_BLHP, f_BLH1), {}
        else:
            initial_BHNP = states["state"].to(V_BLHP.dtype)
            y_BLHP, state_BHNP = scan_from(C_BLHN, B_BLHN, V_BLHP, f_BLH1, initial_BHNP)
            kept = {"state": state_BHNP}
        return y_BLHP.flatten(2).to(features["V"].dtype), kept

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
