"""Whole models against transformers: Llama and LFM2."""

import pytest
import torch
from torch.func import functional_call

from star_core.livs.norm import rms_norm
from tests.oracles.comparison import (
    EPSILON,
    FORMS,
    HEAD_DIM,
    WIDTH,
    assert_same_function,
    copies_for_backward,
    logits_of,
    model_of,
    pieces_of,
    tokens_of,
    weights_of,
)
from tests.oracles.peers import (
    ROPE,
    DynamicCache,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaRMSNorm,
    in_llama_s_order,
    lfm2_attention_weights,
)


def test_the_norm_is_that_of_llama(generator):
    leaves = {
        "x": torch.randn(2, 5, WIDTH, generator=generator, requires_grad=True),
        "weight": torch.randn(WIDTH, generator=generator, requires_grad=True),
    }
    theirs = functional_call(LlamaRMSNorm(WIDTH, eps=EPSILON), {"weight": leaves["weight"]}, leaves["x"])
    assert_same_function(rms_norm(*leaves.values()), theirs, leaves)


@pytest.mark.parametrize("form", FORMS)
def test_attention_and_gated_units_in_turn_are_llama(form):
    model = model_of("SA-3", "GMemless", "SA-3", "GMemless")
    config = LlamaConfig(
        vocab_size=model.arch.vocab_size,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=WIDTH // HEAD_DIM,
        num_key_value_heads=1,
        head_dim=HEAD_DIM,
        rms_norm_eps=EPSILON,
        rope_parameters=ROPE,
        tie_word_embeddings=True,
    )
    tensors = {"model.norm": model.get_parameter("backbone.norm")}
    for depth in range(2):
        attention, unit = (weights_of(model, 2 * depth + i)[0] for i in range(2))
        theirs = {
            "input_layernorm": attention["norm"],
            "self_attn.q_proj": in_llama_s_order(attention["C.projection"], HEAD_DIM),
            "self_attn.k_proj": in_llama_s_order(attention["B.projection"], HEAD_DIM),
            "self_attn.v_proj": attention["V.projection"],
            "self_attn.o_proj": attention["output"],
            "post_attention_layernorm": unit["norm"],
            "mlp.gate_proj": unit["C.projection"],
            "mlp.up_proj": unit["V.projection"],
            "mlp.down_proj": unit["output"],
        }
        tensors |= {f"model.layers.{depth}.{name}": tensor for name, tensor in theirs.items()}
    assert_same_language_model(model, LlamaForCausalLM(config), tensors, form)


@pytest.mark.parametrize("form", FORMS)
def test_short_convolutions_normed_attention_and_gated_units_in_turn_are_lfm2(form):
    model = model_of("GConv-1", "GMemless", "SA-3-Norm", "GMemless")
    config = Lfm2Config(
        vocab_size=model.arch.vocab_size,
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        block_auto_adjust_ff_dim=False,
        num_hidden_layers=2,
        num_attention_heads=WIDTH // HEAD_DIM,
        num_key_value_heads=1,
        norm_eps=EPSILON,
        rope_parameters=ROPE,
        conv_L_cache=3,
        conv_bias=False,
        layer_types=["conv", "full_attention"],
        tie_word_embeddings=True,
        pad_token_id=None,
    )
    convolution, attention = (weights_of(model, depth)[0] for depth in (0, 2))
    mixers = (
        {
            "operator_norm": convolution["norm"],
            "conv.in_proj": torch.cat([convolution[f"{role}.projection"] for role in "BCV"]),
            "conv.conv": convolution["K.filter"].flip(-1),
            "conv.out_proj": convolution["output"],
        },
        {"operator_norm": attention["norm"]}
        | {f"self_attn.{name}": tensor for name, tensor in lfm2_attention_weights(attention).items()},
    )
    tensors = {"model.embedding_norm": model.get_parameter("backbone.norm")}
    for depth, mixer in enumerate(mixers):
        unit = weights_of(model, 2 * depth + 1)[0]
        theirs = mixer | {
            "ffn_norm": unit["norm"],
            "feed_forward.w1": unit["C.projection"],
            "feed_forward.w3": unit["V.projection"],
            "feed_forward.w2": unit["output"],
        }
        tensors |= {f"model.layers.{depth}.{name}": tensor for name, tensor in theirs.items()}
    assert_same_language_model(model, Lfm2ForCausalLM(config), tensors, form)


def assert_same_language_model(model, peer, weights, form):
    """A causal language model of transformers with these weights and our embedding computes the same."""
    tokens_BL, peer = tokens_of(model), peer.eval()
    tensors = dict(peer.named_buffers())
    for name in (*weights, "model.embed_tokens", "lm_head"):
        tensors[f"{name}.weight"] = weights.get(name, model.embedding)
    options, pieces = {"use_cache": False}, [tokens_BL]
    if form == "step":
        options = {"use_cache": True, "past_key_values": DynamicCache(config=peer.config)}
        pieces = [tokens_BL[:, start:end] for start, end in pieces_of(tokens_BL.shape[1])]
    with copies_for_backward():
        theirs = [functional_call(peer, tensors, (piece,), options, strict=True).logits for piece in pieces]
    ours = logits_of(model, tokens_BL, form)
    assert_same_function(ours, torch.cat(theirs, 1), dict(model.named_parameters()))
