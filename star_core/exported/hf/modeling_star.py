"""A STAR backbone for transformers, in one file that needs torch and transformers only.

STAR (arXiv 2411.17800) evolves stacks of linear input-varying operators (LIVs). ``config.layers`` describes
each one: its token-mixing structure and the feature groups that feed it (C reads, B writes, V is carried, K
is a filter, A a decay), which earlier LIV's features or weights it uses, and the shapes of its weights.

Legend: B batch, L tokens of this pass, S tokens held after it, D channels, H heads, E and P channels per
head, N state, Q tokens of a chunk, M modes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

CHUNK = 64
"""Tokens of which every operator makes its matrix at once."""
FORGOTTEN = 16.0
"""Largest -log of a decay: e^-16 is the rounding error of float32."""
RELU, SWISH, NORM = 3, 4, 5
SOFTMAX = 2
DIAGONAL, DENSE = 1, 2
FILTERED = 3
BANDED = 2


class StarConfig(PretrainedConfig):
    """Sizes, and a description of each LIV."""

    model_type = "star"

    def __init__(
        self,
        layers: Any = (),
        hidden_size: int = 64,
        vocab_size: int = 256,
        window: int = 64,
        norm_eps: float = 1e-5,
        rope_theta: float = 1e4,
        **others: Any,
    ) -> None:
        self.layers = list(layers)
        self.hidden_size, self.vocab_size, self.num_hidden_layers = hidden_size, vocab_size, len(self.layers)
        self.window, self.norm_eps, self.rope_theta = window, norm_eps, rope_theta
        others["tie_word_embeddings"] = False  # there is one matrix, not two that are tied
        super().__init__(**others)


class StarCache:
    """What the LIVs remember of the tokens so far."""

    def __init__(self) -> None:
        self.states: dict[tuple[int, int, str], torch.Tensor] = {}
        self.length = 0
        self.real_BS: torch.Tensor | None = None

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens held, padding included."""
        return self.length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keeps these sequences, in this order, as a search by beams does."""
        self.states = {key: state.index_select(0, beam_idx) for key, state in self.states.items()}
        if self.real_BS is not None:
            self.real_BS = self.real_BS.index_select(0, beam_idx)


class _Pass:
    """Some tokens on their way through the LIVs: features that later ones use, and new states.

    Args:
        held: What came before; ``None``: nothing, and nothing is kept.
        length: Tokens L of this pass.
        mask_BS: Which tokens, those held included, are no padding; ``None``: all.
    """

    def __init__(self, held: StarCache | None, length: int, mask_BS: torch.Tensor | None) -> None:
        self.held = held
        self.start, self.length = (0 if held is None else held.length), length
        if mask_BS is not None and mask_BS.shape[1] != self.start + length:
            raise ValueError(
                f"the attention mask covers {mask_BS.shape[1]} tokens, {self.start} held, {length} new"
            )
        if mask_BS is None and held is not None and held.real_BS is not None:
            mask_BS = functional.pad(held.real_BS, (0, length), value=True)
        self.real_BS = None if mask_BS is None or bool(mask_BS.all()) else mask_BS.bool()
        self.features: dict[tuple[int, int, str], torch.Tensor] = {}
        self.updates: dict[tuple[int, int, str], torch.Tensor] = {}

    def old(self, key: tuple[int, int, str]) -> torch.Tensor | None:
        return None if self.held is None else self.held.states.get(key)

    def only_real(self, x_BLX: torch.Tensor) -> torch.Tensor:
        """Padding as zeros, which neither write nor decay anything."""
        if self.real_BS is None:
            return x_BLX
        real_BL = self.real_BS[:, self.start :]
        return x_BLX * real_BL.view(*real_BL.shape, *[1] * (x_BLX.dim() - 2)).to(x_BLX.dtype)

    def counts(self, like: torch.Tensor) -> torch.Tensor:
        """How many tokens each may read, itself included, (B or 1, L)."""
        if self.real_BS is not None:
            return self.real_BS.cumsum(1)[:, self.start :].clamp(min=1).to(like.dtype)
        first = self.start + 1
        return torch.arange(first, first + self.length, device=like.device, dtype=like.dtype).unsqueeze(0)


class _Weights(nn.Module):
    """Parameters of given names and shapes."""

    def __init__(self, shapes: dict[str, list[int]]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))


class _LIV(_Weights):
    """One layer: y = W T(norm(x)) norm(x), to be added to x. A differential one subtracts λ of a second T."""

    def __init__(self, index: int, config: StarConfig) -> None:
        self.spec = config.layers[index]
        super().__init__(self.spec["weights"])
        self.index, self.config = index, config
        self.featurizers = nn.ModuleList(
            nn.ModuleDict(
                {
                    role: _Weights(group["weights"])
                    for role, group in self.spec["groups"].items()
                    if group["weights_of"] == index
                }
            )
            for _ in range(self.spec["branches"])
        )
        self.reused = {
            role
            for other in config.layers[index + 1 :]
            for role, group in other["groups"].items()
            if group["computed_by"] == index
        }

    def forward(self, x_BLD: torch.Tensor, layers: nn.ModuleList, run: _Pass) -> torch.Tensor:
        h_BLD = run.only_real(rms_norm(x_BLD, self.norm, self.config.norm_eps))
        y_BLE = self.branch(0, h_BLD, layers, run)
        if self.spec["branches"] == 2:
            y_BLE = y_BLE - self.difference * self.branch(1, h_BLD, layers, run)
        y_BLE = y_BLE.to(x_BLD.dtype)
        if "output_scale" in self.spec["weights"]:
            return (y_BLE.unflatten(-1, self.output_scale.shape) * self.output_scale).sum(-2)
        return channel_map(y_BLE, self.output)

    def branch(self, branch: int, h_BLD: torch.Tensor, layers: nn.ModuleList, run: _Pass) -> torch.Tensor:
        features = {}
        for role, group in self.spec["groups"].items():
            key = (group["computed_by"], branch, role)
            if group["computed_by"] == self.index:
                weights = layers[group["weights_of"]].featurizers[branch][role]
                x = self.feature(role, group, weights, h_BLD, branch, run)
                if role in self.reused:
                    run.features[key] = x
            else:
                x = run.features[key]
            features[role] = x if group["kind"] == "filter" else self.repeated(role, x)
        owner = {name: (index, branch, name) for name, index in self.spec["states"].items()}
        mix = getattr(self, self.spec["structure"].replace("-", "_"))
        y_BLE, new = mix(features, {name: run.old(key) for name, key in owner.items()}, run)
        for name, state in new.items():
            if owner[name][0] == self.index:
                run.updates[owner[name]] = state
        return y_BLE

    def repeated(self, role: str, x_BLHE: torch.Tensor) -> torch.Tensor:
        repeat = self.spec["groups"][role]["repeat"]
        return x_BLHE.repeat_interleave(repeat, 2) if repeat > 1 else x_BLHE

    def feature(
        self, role: str, group: dict, weights: _Weights, h_BLD: torch.Tensor, branch: int, run: _Pass
    ) -> torch.Tensor:
        """A feature group (B, L, H, E), all of its history where it has one, or a filter."""
        if group["kind"] == "filter":
            if group["sparsity"] == BANDED:
                return weights.filter
            parts = (weights.real, weights.imaginary, -functional.softplus(weights.decay), weights.frequency)
            real, imaginary, decay, frequency = map(precise, parts)
            return torch.stack([torch.complex(real, imaginary), torch.complex(decay, frequency)])
        if group["channel_mixing"] == DIAGONAL:
            x_BLS = (h_BLD.unsqueeze(-2) * weights.scale).flatten(-2)
        else:
            x_BLS = channel_map(h_BLD, weights.projection)
        if group["token_mixing"] == FILTERED:
            key = (self.index, branch, f"{role}.window")
            x_BLS, run.updates[key] = short_filter(x_BLS, weights.short_filter.unsqueeze(1), run.old(key))
        x_BLS = pointwise(group["nonlinearity"], x_BLS)
        if group["kind"] == "rate":
            x_BLS = functional.softplus(x_BLS + weights.step_bias) * weights.log_rate.exp()
        x_BLHE = x_BLS.unflatten(-1, (group["heads"], group["channels"]))
        if group["nonlinearity"] == NORM:
            x_BLHE = rms_norm(x_BLHE, weights.norm, self.config.norm_eps)
        x_BLHE = run.only_real(x_BLHE)
        x_BLHE = precise(x_BLHE)  # sums over many tokens follow
        if self.spec["structure"] == "low-rank" and role != "V":
            x_BLHE = rotate(x_BLHE, run.start, self.config.rope_theta)
        if role in self.spec["histories"]:
            key = (self.index, branch, role)
            old_BSHE = run.old(key)
            x_BLHE = x_BLHE if old_BSHE is None else torch.cat([old_BSHE, x_BLHE], 1)
            run.updates[key] = x_BLHE
        return x_BLHE

    def diagonal(self, features: dict, states: dict, run: _Pass) -> tuple[torch.Tensor, dict]:
        """y_i = σ(C_i) V_i."""
        return pointwise(self.spec["nonlinearity"], features["C"].flatten(2)) * features["V"].flatten(2), {}

    def low_rank(self, features: dict, states: dict, run: _Pass) -> tuple[torch.Tensor, dict]:
        """y_i = Σ_j σ(C_i · B_j / √E) V_j; rows that are no softmax are divided by the tokens they read."""
        C, B, V = (features[role].transpose(1, 2) for role in "CBV")
        C = C / math.sqrt(C.shape[-1])
        banded, kind = self.spec["sparsity"] == BANDED, self.spec["nonlinearity"]
        counts_BL = run.counts(C)
        new = {}
        if "state" in states:
            y_BHLP, new["state"] = linear_attention(C, B, V, states["state"])
            return (y_BHLP.transpose(1, 2) / counts_BL[..., None, None]).flatten(2), new
        if banded:
            window = self.config.window - 1
            for name, role in (("keys", "B"), ("values", "V")):
                old, x = states[name], features[role]
                if old is not None:
                    x = torch.cat([self.repeated(role, old), x], 1)
                if role == "B":
                    B = x.transpose(1, 2)
                else:
                    V = x.transpose(1, 2)
                repeat = self.spec["groups"][role]["repeat"]
                new[name] = x[:, max(0, x.shape[1] - window) :, ::repeat]
            counts_BL = counts_BL.clamp(max=self.config.window)
        before = B.shape[2] - run.length  # keys before the tokens of this pass
        real_BS = None if run.real_BS is None else run.real_BS[:, run.real_BS.shape[1] - B.shape[2] :]
        made = []
        for begin in range(0, run.length, CHUNK):
            end = min(begin + CHUNK, run.length)
            low = max(0, before + begin - self.config.window + 1) if banded else 0
            keys = slice(low, before + end)
            key_S = torch.arange(low, before + end, device=C.device)
            query_L1 = torch.arange(before + begin, before + end, device=C.device).unsqueeze(1)
            read = key_S <= query_L1
            if banded:
                read = read & (key_S > query_L1 - self.config.window)
            if real_BS is not None:
                read = read & real_BS[:, None, None, keys]
            T_BHLS = C[:, :, begin:end] @ B[:, :, keys].mT
            if kind == SOFTMAX:
                T_BHLS = T_BHLS.masked_fill(~read, torch.finfo(T_BHLS.dtype).min).softmax(-1)
            else:
                T_BHLS = pointwise(kind, T_BHLS).masked_fill(~read, 0)
            made.append(T_BHLS @ V[:, :, keys])
        y_BLHP = torch.cat(made, 2).transpose(1, 2)
        return (y_BLHP if kind == SOFTMAX else y_BLHP / counts_BL[..., None, None]).flatten(2), new

    def toeplitz(self, features: dict, states: dict, run: _Pass) -> tuple[torch.Tensor, dict]:
        """Y = C (K ∗ (B V)), with K of a few taps or a sum of modes."""
        C_BLD, B_BLD, V_BLD = (features[role].flatten(2) for role in "CBV")
        u_BLD, K = B_BLD * V_BLD, features["K"]
        if "window" in states:
            y_BLD, window = short_filter(u_BLD, K.to(u_BLD.dtype), states["window"])
            return C_BLD * y_BLD, {"window": window}
        y_BLD, modes = long_filter(u_BLD, K[0], K[1], states["modes"])
        return C_BLD * y_BLD, {"modes": modes}

    def semi_separable(self, features: dict, states: dict, run: _Pass) -> tuple[torch.Tensor, dict]:
        """S_i = exp(-f_i) S_{i-1} + f_i B_i V_iᵀ, y_i = S_iᵀ C_i / √N."""
        C, B, V, f = (features[role].transpose(1, 2) for role in "CBVA")
        state_BHNP = V.new_zeros(*V.shape[:2], B.shape[-1], V.shape[-1])
        state_BHNP = state_BHNP if states["state"] is None else states["state"]
        C, B, made = C / math.sqrt(C.shape[-1]), f * B, []
        for c, b, v, g in zip(*(x.split(CHUNK // 2, 2) for x in (C, B, V, f)), strict=True):
            total_BHQ1 = -g.clamp(max=FORGOTTEN).cumsum(2)
            decay_BHQQ = (total_BHQ1 - total_BHQ1.mT).tril().exp().tril()
            made.append((c @ b.mT * decay_BHQQ) @ v + total_BHQ1.exp() * (c @ state_BHNP))
            end_BH11 = total_BHQ1[:, :, -1:]
            state_BHNP = end_BH11.exp() * state_BHNP + ((end_BH11 - total_BHQ1).exp() * b).mT @ v
        return torch.cat(made, 2).transpose(1, 2).flatten(2), {"state": state_BHNP}


def precise(x: torch.Tensor) -> torch.Tensor:
    """In float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rms_norm(x_D: torch.Tensor, weight_D: torch.Tensor, epsilon: float) -> torch.Tensor:
    """W · x / sqrt(mean(x²) + ε), over the last axis."""
    x = precise(x_D)
    return (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon)).to(x_D.dtype) * weight_D


def pointwise(kind: int, x: torch.Tensor) -> torch.Tensor:
    """ReLU, swish, or nothing."""
    if kind == RELU:
        return functional.relu(x)
    return functional.silu(x) if kind == SWISH else x


def channel_map(x_D: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A dense (S, D) or block-diagonal (G, S / G, D / G) matrix applied to the last axis."""
    if weight.dim() == 2:
        return functional.linear(x_D, weight)
    return torch.einsum("...gd,gsd->...gs", x_D.unflatten(-1, (weight.shape[0], -1)), weight).flatten(-2)


def rotate(x_BLHE: torch.Tensor, start: int, theta: float) -> torch.Tensor:
    """Turns adjacent channels by position · theta^(-2f/E) radians."""
    size = x_BLHE.shape[-1] // 2
    options = {"device": x_BLHE.device, "dtype": x_BLHE.dtype}
    steps_L = torch.arange(start, start + x_BLHE.shape[1], **options)
    angles_L1F = torch.outer(steps_L, theta ** (-torch.arange(size, **options) / size)).unsqueeze(1)
    real, imaginary = x_BLHE.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = angles_L1F.cos(), angles_L1F.sin()
    return torch.stack([real * cosine - imaginary * sine, imaginary * cosine + real * sine], -1).flatten(-2)


def short_filter(
    u_BLD: torch.Tensor, filter_DIK: torch.Tensor, window_BWD: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ_t K_t u_{i-t}, and the inputs to keep for the next tokens."""
    channels, inputs, taps = filter_DIK.shape
    if window_BWD is None:
        window_BWD = u_BLD.new_zeros(u_BLD.shape[0], taps - 1, channels)
    seen_BSD = torch.cat([window_BWD, u_BLD], 1)
    y_BDL = functional.conv1d(seen_BSD.mT, filter_DIK.flip(-1), groups=channels // inputs)
    return y_BDL.mT, seen_BSD[:, u_BLD.shape[1] :]


def long_filter(
    u_BLD: torch.Tensor, residue_DM: torch.Tensor, log_pole_DM: torch.Tensor, state_BDM: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """s_i = exp(p) s_{i-1} + u_i, y_i = Re Σ_m c_m s_im, in chunks; and the state."""
    if state_BDM is None:
        state_BDM = log_pole_DM.new_zeros(u_BLD.shape[0], *log_pole_DM.shape)
    steps_Q = torch.arange(min(CHUNK, u_BLD.shape[1]) + 1, device=u_BLD.device)
    power_DMQ = (log_pole_DM.unsqueeze(-1) * steps_Q).exp()
    response_DQ = (residue_DM.unsqueeze(-1) * power_DMQ).sum(1).real.to(u_BLD.dtype)
    lag_QQ = (steps_Q[:-1].unsqueeze(1) - steps_Q[:-1]).clamp(min=0)
    T_DQQ = response_DQ[:, lag_QQ].tril()
    made = []
    for u_BQD in u_BLD.split(CHUNK, 1):
        size = u_BQD.shape[1]
        carried_BDM = residue_DM * state_BDM
        y_BQD = torch.einsum("dij,bjd->bid", T_DQQ[:, :size, :size], u_BQD)
        y_BQD = y_BQD + torch.einsum("bdm,dmi->bid", carried_BDM, power_DMQ[..., 1 : size + 1]).real
        made.append(y_BQD)
        written_BDM = torch.einsum("bjd,dmj->bdm", u_BQD.to(power_DMQ.dtype), power_DMQ[..., :size].flip(-1))
        state_BDM = power_DMQ[..., size] * state_BDM + written_BDM
    return torch.cat(made, 1).to(u_BLD.dtype), state_BDM


def linear_attention(
    C: torch.Tensor, B: torch.Tensor, V: torch.Tensor, state_BHEP: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """y_i = Σ_{j <= i} (C_i · B_j) V_j in chunks, of (B, H, L, …); and the sum of B Vᵀ."""
    if state_BHEP is None:
        state_BHEP = V.new_zeros(*V.shape[:2], B.shape[-1], V.shape[-1])
    made = []
    for c, b, v in zip(*(x.split(CHUNK, 2) for x in (C, B, V)), strict=True):
        made.append((c @ b.mT).tril() @ v + c @ state_BHEP)
        state_BHEP = state_BHEP + b.mT @ v
    return torch.cat(made, 2), state_BHEP


class _Backbone(nn.Module):
    def __init__(self, config: StarConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_LIV(index, config) for index in range(len(config.layers)))
        self.norm = nn.Parameter(torch.empty(config.hidden_size))
        self.epsilon = config.norm_eps

    def forward(self, x_BLD: torch.Tensor, run: _Pass) -> torch.Tensor:
        for liv in self.layers:
            x_BLD = x_BLD + liv(x_BLD, self.layers, run)
        return rms_norm(x_BLD, self.norm, self.epsilon)


class StarForCausalLM(PreTrainedModel, GenerationMixin):
    """The language model: embedding, LIVs, norm, and a head tied to the embedding."""

    config_class = StarConfig
    _is_stateful = True

    def __init__(self, config: StarConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Parameter(torch.empty(config.vocab_size, config.hidden_size))
        self.backbone = _Backbone(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: weights are loaded, never drawn."""

    @classmethod
    def _supports_default_dynamic_cache(cls, *_: Any) -> bool:
        return False

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: StarCache | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **others: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (B, L, V) of tokens (B, L) that follow those in ``past_key_values``, and it with them."""
        held = past_key_values
        if held is None and use_cache:
            held = StarCache()
        run = _Pass(held, input_ids.shape[1], attention_mask)
        x_BLD = self.backbone(functional.embedding(input_ids, self.embedding), run)
        if held is not None:
            held.states.update(run.updates)
            held.length, held.real_BS = held.length + run.length, run.real_BS
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits_BLV = functional.linear(x_BLD[:, kept], self.embedding)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits_BLV, labels, vocab_size=self.config.vocab_size, **others)
        return CausalLMOutputWithPast(loss=loss, logits=logits_BLV, past_key_values=held)

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        past_key_values: StarCache | None = None,
        attention_mask: torch.Tensor | None = None,
        use_cache: bool | None = True,
        logits_to_keep: int | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """The tokens that the cache does not hold yet."""
        if past_key_values is not None:
            input_ids = input_ids[:, past_key_values.length :]
        return {
            "input_ids": input_ids,
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
            "use_cache": use_cache,
            "logits_to_keep": logits_to_keep or 0,
        }
