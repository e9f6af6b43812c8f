"""Low-rank token mixing: softmax attention, T_ij = softmax_j(C_i · B_j / √E), over values V.

Queries C, keys B and values V may have fewer heads than the operator: ``repeat`` heads then read
one of them (grouped queries, arXiv 2305.13245). C and B are rotated by their position.

Legend: B batch, L tokens of this pass, S tokens held so far, H heads, E channels per head.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from star_core.genome.tables import TokenMixing
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.rotary import Positions


@register(TokenMixing.LOW_RANK)
class LowRank(Mixer):
    """Softmax attention. Its states, keys and values, are histories and arrive as features."""

    def prepare(self, role: str, feature: torch.Tensor, positions: Positions) -> torch.Tensor:
        """Queries and keys carry their position, so that a kept or shared key need not be turned again."""
        return feature if role == "V" else positions.rotate(feature)

    def reference(self, features: Features) -> torch.Tensor:
        """T_BHLL = softmax of the masked scores."""
        C_BHLE, B_BHLE, V_BHLE = (
            features[role].transpose(1, 2).repeat_interleave(self.groups[role].repeat, 1) for role in "CBV"
        )
        scores_BHLL = C_BHLE @ B_BHLE.mT / math.sqrt(C_BHLE.shape[-1])
        T_BHLL = scores_BHLL.masked_fill(~_causal(scores_BHLL), -math.inf).softmax(-1)
        return (T_BHLL @ V_BHLE).transpose(1, 2).flatten(2)

    def parallel(self, features: Features, states: States | None) -> tuple[torch.Tensor, States]:
        """Fused attention; the L tokens of this pass are the last of the S in the history."""
        C_BHLE, B_BHSE, V_BHSE = (self._heads(features[role], role) for role in "CBV")
        channels, width = V_BHSE.shape[-1], C_BHLE.shape[-1]
        # The fused kernel wants one head size; zeros add nothing to a score and are cut off a value.
        extra = channels - width
        C_BHLE, B_BHSE = (functional.pad(x, (0, extra)) if extra > 0 else x for x in (C_BHLE, B_BHSE))
        V_BHSE = functional.pad(V_BHSE, (0, -extra)) if extra < 0 else V_BHSE
        length, held = C_BHLE.shape[2], B_BHSE.shape[2]
        mask_LS = None if length in (1, held) else _causal(C_BHLE.new_empty(length, held))
        y_BHLE = functional.scaled_dot_product_attention(
            C_BHLE,
            B_BHSE,
            V_BHSE,
            attn_mask=mask_LS,
            is_causal=length == held and length > 1,
            scale=1 / math.sqrt(width),
            enable_gqa=C_BHLE.shape[1] != B_BHSE.shape[1],
        )
        return y_BHLE[..., :channels].transpose(1, 2).flatten(2), {}

    def step(self, features: Features, states: States) -> tuple[torch.Tensor, States]:
        """One query against the history: no mask is needed."""
        return self.parallel(features, states)

    def _heads(self, x_BLHE: torch.Tensor, role: str) -> torch.Tensor:
        """(B, H, L, E), expanded only where the fused kernel cannot repeat keys and values alike."""
        x_BHLE = x_BLHE.transpose(1, 2)
        repeats = {other: self.groups[other].repeat for other in "CBV"}
        if repeats[role] == 1 or (repeats["C"] == 1 and repeats["B"] == repeats["V"]):
            return x_BHLE
        return x_BHLE.repeat_interleave(repeats[role], 1)


def _causal(scores_LS: torch.Tensor) -> torch.Tensor:
    """True where query i, one of the last L tokens, may read key j."""
    length, held = scores_LS.shape[-2:]
    ones = torch.ones(length, held, dtype=torch.bool, device=scores_LS.device)
    return ones.tril(held - length)
