"""Low-rank token mixing: T_ij = σ(C_i · B_j / √E) for j <= i, over values V.

σ is softmax over the row; or ReLU, swish or nothing, score by score, and then rows are divided by the
number of tokens they read (arXiv 2309.08586, §3), so that every kind averages over what it reads.
Nothing but a band or a softmax stands between linear attention and a state of constant size.

Queries C, keys B and values V may have fewer heads than the operator: ``repeat`` heads then read
one of them (grouped queries, arXiv 2305.13245). C and B are rotated by their position.

Legend: B batch, L tokens of this pass, S tokens held so far, H heads, G heads of keys and values,
E channels of keys, P of values, W tokens of a band.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from star_core.architecture import Layer
from star_core.livs.band import band_mask, key_blocks, query_blocks, unblock, with_window
from star_core.livs.linear_attention import (
    linear_attention,
    linear_attention_from,
    linear_attention_step,
)
from star_core.livs.mixer import Features, Mixer, States, register
from star_core.livs.nonlinearity import nonlinearity
from star_core.livs.precision import attention_input
from star_core.livs.rotary import Positions
from star_core.structures.low_rank import LOW_RANK, WINDOW, is_recurrent
from star_core.vocabulary.tables import Nonlinearity, Sparsity

ROWS = 256
"""Rows of T in memory at a time, where its scores have a pointwise nonlinearity."""


@register(LOW_RANK)
class LowRank(Mixer):
    """Attention. Unbanded keys and values are histories and arrive as features, others are states."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer)
        self.softmax = self.operator.nonlinearity is Nonlinearity.SOFTMAX
        self.banded = self.operator.sparsity is Sparsity.BANDED
        self.recurrent = is_recurrent(self.operator)
        self.scale = 1 / math.sqrt(self.shapes["C"].channels)
        repeats = {role: self.groups[role].repeat for role in "CBV"}
        grouped = repeats["C"] == 1 and repeats["B"] == repeats["V"]
        self._expanded = {role for role, repeat in repeats.items() if repeat > 1 and not grouped}

    def prepare(self, role: str, feature: torch.Tensor, positions: Positions) -> torch.Tensor:
        """Queries and keys carry their position, so that a kept or shared key need not be turned again."""
        read = 2 * WINDOW if self.banded else positions.start + positions.length
        feature = attention_input(feature, read)
        return feature if role == "V" else positions.rotate(feature)

    def reference(self, features: Features, positions: Positions) -> torch.Tensor:
        """T_BHLL, all of it."""
        C_BHLE, B_BHLE, V_BHLP = (
            features[role].transpose(1, 2).repeat_interleave(self.groups[role].repeat, 1) for role in "CBV"
        )
        scores_BHLL = C_BHLE @ B_BHLE.mT * self.scale
        lag_LL = torch.arange(scores_BHLL.shape[-1], device=scores_BHLL.device)
        lag_LL = lag_LL.unsqueeze(1) - lag_LL
        unread_LL = (lag_LL < 0) | (lag_LL >= WINDOW) if self.banded else lag_LL < 0
        if self.softmax:
            T_BHLL = scores_BHLL.masked_fill(unread_LL, -math.inf).softmax(-1)
        else:
            T_BHLL = nonlinearity(self.operator.nonlinearity, scores_BHLL).masked_fill(unread_LL, 0)
            T_BHLL = T_BHLL / (~unread_LL).sum(-1, keepdim=True)
        return (T_BHLL @ V_BHLP).transpose(1, 2).flatten(2)

    def parallel(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        """Fused attention, blocks of a band, blocks of rows, or chunks of a recurrence."""
        if self.recurrent:
            return self._linear(features, states, positions)
        if self.banded:
            return self._band(features, states, positions)
        # The L tokens of this pass are the last of the S in the history.
        C_BHLE, B_BGSE, V_BGSP = (self._heads(features[role], role).transpose(1, 2) for role in "CBV")
        if self.softmax:
            length, held = C_BHLE.shape[2], B_BGSE.shape[2]
            mask_LS, causal = None, False
            # Branches, because a tracer of any length takes no comparison for an argument.
            if length > 1:
                if length == held:
                    causal = True
                else:
                    mask_LS = _causal(length, held, C_BHLE.device)
            y_BHLP = self._attend(C_BHLE, B_BGSE, V_BGSP, mask_LS, causal)
            return y_BHLP.transpose(1, 2).flatten(2), {}
        y_BHLP = self._rows(C_BHLE, B_BGSE, V_BGSP)
        return self._average(y_BHLP.transpose(1, 2).flatten(2), positions), {}

    def step(self, features: Features, states: States, positions: Positions) -> tuple[torch.Tensor, States]:
        """One query against the history, the band or the state: no mask but for a band not yet full."""
        if not self.recurrent:
            return self.parallel(features, states, positions)
        C_BHE, B_BHE, V_BHP = (x.squeeze(1) for x in self._all_heads(features))
        state_BHEP = self._spread(states["state"]).to(V_BHP.dtype)
        y_BHP, state_BHEP = linear_attention_step(C_BHE * self.scale, B_BHE, V_BHP, state_BHEP)
        return self._average(y_BHP.flatten(1).unsqueeze(1), positions), {"state": self._kept(state_BHEP)}

    def _linear(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        C_BLHE, B_BLHE, V_BLHP = self._all_heads(features)
        C_BLHE = C_BLHE * (self.scale / positions.counts(C_BLHE)).view(-1, 1, 1)
        if states is None:
            return linear_attention(C_BLHE, B_BLHE, V_BLHP).flatten(2), {}
        initial_BHEP = self._spread(states["state"]).to(V_BLHP.dtype)
        y_BLHP, state_BHEP = linear_attention_from(C_BLHE, B_BLHE, V_BLHP, initial_BHEP)
        return y_BLHP.flatten(2), {"state": self._kept(state_BHEP)}

    def _band(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        C_BLHE, B_BLGE, V_BLGP = (features[role] for role in "CBV")
        keys_BSGE = with_window(B_BLGE, None if states is None else states["keys"])
        values_BSGP = with_window(V_BLGP, None if states is None else states["values"])
        batch, length = C_BLHE.shape[:2]
        if length == 1:
            blocks = [x.transpose(1, 2) for x in (C_BLHE, keys_BSGE, values_BSGP)]
            reads = torch.arange(WINDOW, device=C_BLHE.device) >= WINDOW - 1 - positions.start
            mask = reads.expand(batch, 1, 1, -1)
        else:
            blocks = [query_blocks(C_BLHE), key_blocks(keys_BSGE), key_blocks(values_BSGP)]
            mask = band_mask(batch, -(-length // WINDOW), positions.start, C_BLHE.device)
        C_NHWE, B_NGTE, V_NGTP = (
            self._heads(x.transpose(1, 2), role).transpose(1, 2)
            for x, role in zip(blocks, "CBV", strict=True)
        )
        if self.softmax:
            y_NHWP = self._attend(C_NHWE, B_NGTE, V_NGTP, mask, False)
        else:
            y_NHWP = self._row_block(C_NHWE, B_NGTE, V_NGTP, mask)
        y_BLE = unblock(y_NHWP, batch, length).flatten(2)
        kept = {"keys": keys_BSGE[:, length:], "values": values_BSGP[:, length:]}
        return y_BLE if self.softmax else self._average(y_BLE, positions), {} if states is None else kept

    def _attend(
        self, C: torch.Tensor, B: torch.Tensor, V: torch.Tensor, mask: torch.Tensor | None, causal: bool
    ) -> torch.Tensor:
        """Fused softmax attention of (…, heads, tokens, channels)."""
        channels, extra = V.shape[-1], V.shape[-1] - C.shape[-1]
        # The fused kernel wants one head size; zeros add nothing to a score and are cut off a value.
        C, B = (functional.pad(x, (0, extra)) if extra > 0 else x for x in (C, B))
        V = functional.pad(V, (0, -extra)) if extra < 0 else V
        heads, length = C.shape[1:3]
        grouped = heads != B.shape[1]
        if grouped and length == 1:
            # One query each of the heads that read one key: as several queries, keys are not repeated.
            C, grouped = C.reshape(C.shape[0], B.shape[1], -1, C.shape[-1]), False
        y = functional.scaled_dot_product_attention(
            C, B, V, attn_mask=mask, is_causal=causal, scale=self.scale, enable_gqa=grouped
        )
        y = y.reshape(y.shape[0], heads, length, -1)
        return y[..., :channels] if extra < 0 else y

    def _rows(self, C_BHLE: torch.Tensor, B_BGSE: torch.Tensor, V_BGSP: torch.Tensor) -> torch.Tensor:
        """Rows of T by blocks, made again in the backward pass: memory is linear in the length."""
        length, held = C_BHLE.shape[2], B_BGSE.shape[2]
        made = []
        for begin in range(0, length, ROWS):
            end = min(begin + ROWS, length)
            read = held - length + end
            block = (C_BHLE[:, :, begin:end], B_BGSE[:, :, :read], V_BGSP[:, :, :read])
            if length <= ROWS or not torch.is_grad_enabled():
                made.append(self._row_block(*block))
            else:
                # The mask is made inside: as an argument it would be kept, and all of them are quadratic.
                made.append(
                    checkpoint(self._row_block, *block, use_reentrant=False, preserve_rng_state=False)
                )
        return torch.cat(made, 2) if len(made) > 1 else made[0]

    def _row_block(
        self, C: torch.Tensor, B: torch.Tensor, V: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Some rows of T, causal if there is no mask that says otherwise, applied to V."""
        mask = _causal(C.shape[2], B.shape[2], C.device) if mask is None else mask
        repeat = C.shape[1] // B.shape[1]
        B, V = (x.repeat_interleave(repeat, 1) if repeat > 1 else x for x in (B, V))
        T = nonlinearity(self.operator.nonlinearity, C * self.scale @ B.mT)
        return T.masked_fill(~mask, 0) @ V

    def _average(self, y_BLE: torch.Tensor, positions: Positions) -> torch.Tensor:
        """Divides each row by the number of tokens it reads."""
        read_L = positions.counts(y_BLE)
        return y_BLE / (read_L.clamp(max=WINDOW) if self.banded else read_L).unsqueeze(1)

    def _heads(self, x_BLHE: torch.Tensor, role: str) -> torch.Tensor:
        """Expanded only where the fused kernel cannot repeat keys and values alike."""
        return x_BLHE.repeat_interleave(self.groups[role].repeat, 2) if role in self._expanded else x_BLHE

    def _all_heads(self, features: Features) -> list[torch.Tensor]:
        """C, B and V with every head, at least in float32: long sums lose half precision."""
        full = []
        for role in "CBV":
            x, repeat = features[role], self.groups[role].repeat
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            full.append(x.repeat_interleave(repeat, 2) if repeat > 1 else x)
        return full

    @property
    def _readers(self) -> int:
        """Heads that read one state."""
        heads = math.lcm(self.shapes["B"].heads, self.shapes["V"].heads)
        return self.shapes["V"].heads * self.groups["V"].repeat // heads

    def _spread(self, state_BGEP: torch.Tensor) -> torch.Tensor:
        return state_BGEP.repeat_interleave(self._readers, 1) if self._readers > 1 else state_BGEP

    def _kept(self, state_BHEP: torch.Tensor) -> torch.Tensor:
        return state_BHEP[:, :: self._readers]


def _causal(length: int, held: int, device: torch.device) -> torch.Tensor:
    """True where query i, one of the last L tokens, may read key j."""
    return torch.ones(length, held, dtype=torch.bool, device=device).tril(held - length)
