"""Layers of transformers, pure torch, that compute what a LIV does from the LIV's own weights.

Legend: B batch, L length, S tokens held, D channels, H heads, E channels per head, K taps.
"""

import os
import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("transformers")
    from transformers import DynamicCache
    from transformers.masking_utils import causal_mask_function, sliding_window_causal_mask_function
    from transformers.models.diffllama.configuration_diffllama import DiffLlamaConfig
    from transformers.models.diffllama.modeling_diffllama import DiffLlamaAttention
    from transformers.models.lfm2.configuration_lfm2 import Lfm2Config
    from transformers.models.lfm2.modeling_lfm2 import Lfm2Attention, Lfm2ForCausalLM, Lfm2ShortConv
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import (
        LlamaAttention,
        LlamaForCausalLM,
        LlamaMLP,
        LlamaRMSNorm,
        LlamaRotaryEmbedding,
    )
    from transformers.models.mamba.modeling_mamba import (
        causal_conv1d_fn,
        causal_conv1d_update,
        mamba_selective_scan,
        mamba_selective_state_update,
    )
    from transformers.models.mamba2.configuration_mamba2 import Mamba2Config
    from transformers.models.mamba2.modeling_mamba2 import (
        Mamba2Mixer,
        mamba2_chunk_scan,
        mamba2_selective_state_update,
    )
    from transformers.models.recurrent_gemma.configuration_recurrent_gemma import RecurrentGemmaConfig
    from transformers.models.recurrent_gemma.modeling_recurrent_gemma import RecurrentGemmaRglru

from tests.oracles.comparison import BASE, EPSILON, HEAD_DIM, WIDTH, by_branch, pairs_of, weights_of

__all__ = [
    "ROPE",
    "DynamicCache",
    "Lfm2Config",
    "Lfm2ForCausalLM",
    "LlamaConfig",
    "LlamaForCausalLM",
    "LlamaRMSNorm",
    "RecurrentGemmaConfig",
    "RecurrentGemmaRglru",
    "causal_conv1d_fn",
    "causal_conv1d_update",
    "diffllama_attention",
    "in_llama_s_order",
    "lfm2_attention",
    "lfm2_attention_weights",
    "lfm2_convolution",
    "llama_attention",
    "llama_gated_unit",
    "mamba2_chunk_scan",
    "mamba2_selective_state_update",
    "mamba_2",
    "mamba_selective_scan",
    "mamba_selective_state_update",
]

ROPE = {"rope_type": "default", "rope_theta": BASE}


class CausalConvolution(nn.Module):
    """Mamba's short convolution of (B, L, D), remembering its last inputs; taps are given oldest first."""

    def __init__(self, activation):
        super().__init__()
        self.weight, self.activation, self.state_BDK = nn.Parameter(torch.empty(0)), activation, None

    def forward(self, u_BLD):
        if self.state_BDK is None:
            self.state_BDK = u_BLD.new_zeros(u_BLD.shape[0], self.weight.shape[0], self.weight.shape[1] - 1)
        y_BDL = causal_conv1d_update(
            u_BLD.transpose(1, 2), self.state_BDK, self.weight, None, self.activation
        )
        return y_BDL.transpose(1, 2)


def in_llama_s_order(weight_SX, head_dim):
    """Rows of a query or key as Llama wants them: it turns channel e with e + E/2."""
    order = [channel for channels in zip(*pairs_of(head_dim), strict=True) for channel in channels]
    return weight_SX.unflatten(0, (-1, head_dim))[:, order].flatten(0, 1)


def projections(module, roles, weights, activations=None):
    """A module's projections for ``functional_call``: weights by the role each of them computes.

    A role with a short filter gets that, and its activation, behind its projection.
    """
    tensors = {}
    for name, role in roles.items():
        tensors[f"{name}.weight"] = weights[f"{role}.projection"]
        if f"{role}.short_filter" in weights:
            behind = CausalConvolution((activations or {}).get(role))
            setattr(module, name, nn.Sequential(getattr(module, name), behind))
            tensors[f"{name}.0.weight"] = tensors.pop(f"{name}.weight")
            tensors[f"{name}.1.weight"] = weights[f"{role}.short_filter"].flip(-1)
    return tensors


def attends(attention, tensors, config, cached, reads=causal_mask_function):
    """An attention module of transformers as a function of its input and the position of its first token.

    ``reads(batch, head, query, key)`` says whether a query reads a key.
    """
    rotary, cache = LlamaRotaryEmbedding(config), DynamicCache(config=config) if cached else None

    def apply(h_BLD, start):
        tokens_S = torch.arange(start + h_BLD.shape[1])
        angles = rotary(h_BLD, tokens_S[None, start:])
        read_LS = reads(0, 0, tokens_S[start:, None], tokens_S)
        mask_LS = torch.zeros(read_LS.shape).masked_fill(~read_LS, float("-inf"))
        return functional_call(attention, tensors, (h_BLD, angles, mask_LS, cache), strict=True)[0]

    return apply


@by_branch
def llama_attention(weights, cached, head_dim=HEAD_DIM, window=None):
    """Grouped-query attention (arXiv 2305.13245) with rotary positions, of all tokens or the last few."""
    config = LlamaConfig(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=weights["C.projection"].shape[0] // head_dim,
        num_key_value_heads=weights["B.projection"].shape[0] // head_dim,
        head_dim=head_dim,
        rope_parameters=ROPE,
        attn_implementation="eager",
    )
    attention = LlamaAttention(config, 0).eval()
    tensors = projections(attention, {"q_proj": "C", "k_proj": "B", "v_proj": "V"}, weights)
    for name in tensors:
        if name.startswith(("q_proj", "k_proj")):
            tensors[name] = in_llama_s_order(tensors[name], head_dim)
    reads = sliding_window_causal_mask_function(window) if window else causal_mask_function
    return attends(attention, tensors | {"o_proj.weight": weights["output"]}, config, cached, reads)


def diffllama_attention(model, cached):
    """Differential attention (arXiv 2410.05258) without its norm of the difference.

    Its two maps are heads of one projection, the first half and the second, over the same values of
    doubled size; its λ = exp(q₁·k₁) - exp(q₂·k₂) + λ₀ is set to ours through q₁, with k₁ = 1/E, q₂ = 0.
    """
    first, second = weights_of(model)
    assert first["V.projection"] is second["V.projection"]
    queries, keys = (torch.cat([branch[f"{role}.projection"] for branch in (first, second)]) for role in "CB")
    config = DiffLlamaConfig(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=queries.shape[0] // HEAD_DIM,
        num_key_value_heads=keys.shape[0] // HEAD_DIM,
        head_dim=HEAD_DIM,
        rope_parameters=ROPE,
        attn_implementation="eager",
    )
    attention = DiffLlamaAttention(config, 0).eval()
    attention.groupnorm = nn.Identity()
    start, ones_E = attention.lambda_init, torch.ones(HEAD_DIM)
    tensors = {
        "q_proj.weight": in_llama_s_order(queries, HEAD_DIM),
        "k_proj.weight": in_llama_s_order(keys, HEAD_DIM),
        "v_proj.weight": first["V.projection"].unflatten(0, (-1, 2, HEAD_DIM)).transpose(0, 1).flatten(0, 2),
        "o_proj.weight": first["output"] / (1 - start),
        "lambda_q1": (first["difference"] + 1 - start).log() * ones_E,
        "lambda_k1": ones_E / HEAD_DIM,
        "lambda_q2": 0 * ones_E,
        "lambda_k2": ones_E,
    }
    return attends(attention, tensors, config, cached)


class Ungated(nn.Module):
    """In the place of a norm with a gate: neither."""

    def forward(self, x_BLD, gate_BLD):
        return x_BLD


@by_branch
def mamba_2(weights, cached, states):
    """Mamba-2 (arXiv 2405.21060) without its gate, its norm and its skip, of ``states`` N per channel.

    Its recurrence is ours without rate/√N, which scales the columns of its output projection instead.
    """
    values, inputs = (weights[f"{role}.projection"].shape[0] for role in "VB")
    rate_H, none_DD = weights["A.log_rate"].exp(), torch.zeros(values, WIDTH)
    heads = len(rate_H)
    config = Mamba2Config(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        expand=1,
        num_heads=heads,
        head_dim=values // heads,
        state_size=states,
        n_groups=inputs // states,
        conv_kernel=4,
        use_conv_bias=False,
        chunk_size=8,
    )
    mixer = Mamba2Mixer(config, 0).eval()
    mixer.norm = Ungated()
    cache = DynamicCache(config=config) if cached else None
    taps_DK = torch.cat([weights[f"{role}.short_filter"] for role in "VBC"])
    gain_H = rate_H / states**0.5
    tensors = {
        "in_proj.weight": torch.cat([none_DD, *(weights[f"{role}.projection"] for role in "VBCA")]),
        "conv1d.weight": taps_DK.flip(-1).unsqueeze(1),
        "dt_bias": weights["A.step_bias"],
        "A_log": weights["A.log_rate"],
        "D": torch.zeros(heads),
        "out_proj.weight": weights["output"] * gain_H.repeat_interleave(values // heads),
    }
    return lambda h_BLD, start: functional_call(mixer, tensors, (h_BLD, cache), strict=True)


@by_branch
def lfm2_convolution(weights, cached):
    """The gated short convolution of LFM2 (arXiv 2511.23404)."""
    config = Lfm2Config(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        conv_L_cache=weights["K.filter"].shape[-1],
        conv_bias=False,
        layer_types=["conv"],
    )
    convolution, cache = Lfm2ShortConv(config, 0), DynamicCache(config=config) if cached else None
    tensors = {
        "in_proj.weight": torch.cat([weights[f"{role}.projection"] for role in "BCV"]),
        "conv.weight": weights["K.filter"].flip(-1),
        "out_proj.weight": weights["output"],
    }
    return lambda h_BLD, start: functional_call(convolution, tensors, (h_BLD, cache), strict=True)


@by_branch
def lfm2_attention(weights, cached):
    """The grouped-query attention of LFM2 (arXiv 2511.23404), whose queries and keys are normed by head."""
    config = Lfm2Config(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=weights["C.projection"].shape[0] // HEAD_DIM,
        num_key_value_heads=weights["B.projection"].shape[0] // HEAD_DIM,
        norm_eps=EPSILON,
        rope_parameters=ROPE,
        layer_types=["full_attention"],
        attn_implementation="eager",
    )
    tensors = {f"{name}.weight": tensor for name, tensor in lfm2_attention_weights(weights).items()}
    return attends(Lfm2Attention(config, 0).eval(), tensors, config, cached)


def lfm2_attention_weights(weights):
    """The weights of LFM2's attention by their names there."""
    return {
        "q_proj": in_llama_s_order(weights["C.projection"], HEAD_DIM),
        "k_proj": in_llama_s_order(weights["B.projection"], HEAD_DIM),
        "v_proj": weights["V.projection"],
        "out_proj": weights["output"],
        "q_layernorm": in_llama_s_order(weights["C.norm"], HEAD_DIM),
        "k_layernorm": in_llama_s_order(weights["B.norm"], HEAD_DIM),
    }


@by_branch
def llama_gated_unit(weights, cached, gate="silu", **activations):
    """A gated unit (arXiv 2002.05202); ``activations`` are those behind a role's short filter."""
    size = weights["V.projection"].shape[0]
    config = LlamaConfig(hidden_size=WIDTH, num_attention_heads=1, intermediate_size=size, hidden_act=gate)
    unit = LlamaMLP(config)
    tensors = projections(unit, {"gate_proj": "C", "up_proj": "V"}, weights, activations)
    tensors["down_proj.weight"] = weights["output"]
    return lambda h_BLD, start: functional_call(unit, tensors, (h_BLD,), strict=True)
