"""The gated delta rule as arithmetic: T materialised, chunks of tokens, one token.

Inside a chunk behind a state S, with γ_i the decay from its start and b, c, u as in ``delta_shapes.py``,

    (1 + M) U = β (V - γ b S),    M_ij = β_i (γ_i / γ_j) b_i · b_j  for j < i,

a triangular system; then y = (c bᵀ · γ_i / γ_j) U + γ c S.

Legend: B batch, L length, H heads, N state, P channels per head, Q tokens of a chunk, K chunks.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from star_core.livs.chunks import chunks, decays, unchunk
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.rotary import Positions
from star_delta.delta_shapes import DELTA

CHUNK = 32
"""Tokens Q of a chunk."""
FORGOTTEN = 16.0
"""Largest -log a of one token."""


@register(DELTA)
class DeltaRule(Mixer):
    """A matrix-valued state that is corrected where it is written."""

    def reference(self, features: Features, positions: Positions) -> torch.Tensor:
        """T_BHLL = (c bᵀ · decays) (1 + M)⁻¹ β."""
        c_BHLN, b_BHLN, V_BHLP, f_BHL1, beta_BHL1 = (x.transpose(1, 2) for x in self._expand(features))
        total_BHL1 = -f_BHL1.cumsum(2)
        decay_BHLL = decays(total_BHL1, total_BHL1)
        M_BHLL = (beta_BHL1 * (b_BHLN @ b_BHLN.mT) * decay_BHLL).tril(-1)
        one_LL = torch.eye(M_BHLL.shape[-1], dtype=M_BHLL.dtype, device=M_BHLL.device)
        T_BHLL = (c_BHLN @ b_BHLN.mT * decay_BHLL) @ torch.linalg.inv(one_LL + M_BHLL)
        return (T_BHLL @ (beta_BHL1 * V_BHLP)).transpose(1, 2).flatten(2)

    def parallel(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        """One triangular system for all chunks; then the states between them, one after the other."""
        expanded = self._expand(features)
        length, size = expanded[2].shape[1], min(CHUNK, expanded[2].shape[1])
        c, b, V, f, beta = (chunks(x, size) for x in expanded)
        total_BHKQ1 = -f.cumsum(3)
        decay_BHKQQ = decays(total_BHKQ1, total_BHKQ1)
        since_BHKQ1 = total_BHKQ1.exp()
        M_BHKQQ = beta * (b @ b.mT) * decay_BHKQQ
        wanted = beta * torch.cat([V, since_BHKQ1 * b], -1)
        solved = torch.linalg.solve_triangular(M_BHKQQ, wanted, upper=False, unitriangular=True)
        new_BHKQP, held_BHKQN = solved.split([V.shape[-1], b.shape[-1]], -1)
        T_BHKQQ = c @ b.mT * decay_BHKQQ
        state_BHNP = V.new_zeros(*V.shape[:2], b.shape[-1], V.shape[-1])
        if states is not None:
            state_BHNP = states["state"].to(V.dtype)
        outputs = []
        for k in range(V.shape[2]):
            U_BHQP = new_BHKQP[:, :, k] - held_BHKQN[:, :, k] @ state_BHNP
            carried_BHQP = (c * since_BHKQ1)[:, :, k] @ state_BHNP
            outputs.append(T_BHKQQ[:, :, k] @ U_BHQP + carried_BHQP)
            end_BH11 = total_BHKQ1[:, :, k, -1:]
            left_BHQN = b[:, :, k] * (end_BH11 - total_BHKQ1[:, :, k]).exp()
            state_BHNP = end_BH11.exp() * state_BHNP + left_BHQN.mT @ U_BHQP
        y_BLHP = unchunk(torch.stack(outputs, 2), length)
        kept = {} if states is None else {"state": state_BHNP}
        return y_BLHP.flatten(2).to(features["V"].dtype), kept

    def step(self, features: Features, states: States, positions: Positions) -> tuple[torch.Tensor, States]:
        """Decay, correction, read-out."""
        c_BHN, b_BHN, V_BHP, f_BH1, beta_BH1 = (x.squeeze(1) for x in self._expand(features))
        state_BHNP = (-f_BH1).exp().unsqueeze(-1) * states["state"].to(V_BHP.dtype)
        held_BHP = (b_BHN.unsqueeze(-2) @ state_BHNP).squeeze(-2)
        U_BHP = beta_BH1 * (V_BHP - held_BHP)
        state_BHNP = state_BHNP + b_BHN.unsqueeze(-1) * U_BHP.unsqueeze(-2)
        y_BHP = (c_BHN.unsqueeze(-2) @ state_BHNP).squeeze(-2)
        return y_BHP.flatten(1).unsqueeze(1).to(features["V"].dtype), {"state": state_BHNP}

    def _expand(self, features: Features) -> list[torch.Tensor]:
        """c, b, V, -log a and β with every head, at least in float32."""
        full = []
        for role in "CBVAW":
            x, repeat = features[role], self.groups[role].repeat
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            full.append(x.repeat_interleave(repeat, 2) if repeat > 1 else x)
        C, B, V, f, strength = full
        c, b = (functional.normalize(x, dim=-1, eps=1e-6) for x in (C, B))
        return [c, b, V, f.clamp(max=FORGOTTEN), strength.sigmoid()]
