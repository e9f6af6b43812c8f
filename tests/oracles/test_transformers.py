"""Operators against implementations by others: transformers and scipy."""

import os
import warnings
from types import SimpleNamespace

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("transformers")
    from transformers.models.lfm2.configuration_lfm2 import Lfm2Config
    from transformers.models.lfm2.modeling_lfm2 import Lfm2ShortConv
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import (
        LlamaMLP,
        LlamaRMSNorm,
        LlamaRotaryEmbedding,
        apply_rotary_pos_emb,
        eager_attention_forward,
    )
    from transformers.models.mamba.modeling_mamba import causal_conv1d_fn
    from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan, mamba2_selective_state_update

from star_core import build_model
from star_core.livs.forward_pass import Form, ForwardPass
from star_core.livs.norm import EPSILON, rms_norm
from star_core.livs.rotary import BASE, Positions
from star_core.livs.short_filter import short_filter
from tests.livs.layers import features_for, mixer_for, states_for
from tests.models.language_models import stack

LENGTH, WIDTH = 70, 16


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs.to(ours.dtype), rtol=1e-4, atol=1e-5)


def whole_layer(name, x_BLD):
    """The first layer of a model of one class, its weights by role and name, and what it adds to x."""
    model = build_model(stack(name, depth=1, width=WIDTH))
    backbone = model.backbone
    run = ForwardPass(Form.PARALLEL, Positions(0, x_BLD.shape[1]), backbone._featurizer, frozenset())
    with torch.no_grad():
        added_BLD = backbone.layers[0](x_BLD, run)
    prefix = "backbone.layers.0."
    weights = {
        key.removeprefix(prefix).removeprefix("featurizers.0."): weight
        for key, weight in model.state_dict().items()
        if key.startswith(prefix)
    }
    return weights, added_BLD


def llama(**options):
    return LlamaConfig(hidden_size=WIDTH, num_attention_heads=4, head_dim=4, rope_theta=BASE, **options)


@pytest.mark.parametrize(("name", "groups"), [("SA-1", 1), ("SA-3", 4), ("SA-4", 2)])
def test_attention_is_that_of_llama(name, groups, generator):
    x_BLD = torch.randn(2, LENGTH, WIDTH, generator=generator)
    weights, added_BLD = whole_layer(name, x_BLD)
    norm = LlamaRMSNorm(WIDTH, eps=EPSILON)
    C, B, V = (
        torch.nn.functional.linear(norm(x_BLD), weights[f"{role}.projection"])
        .unflatten(-1, (-1, 4))
        .transpose(1, 2)
        for role in "CBV"
    )
    cosine, sine = LlamaRotaryEmbedding(llama())(C, torch.arange(LENGTH)[None])
    C, B = apply_rotary_pos_emb(C, B, cosine, sine)
    mask_LL = torch.full((LENGTH, LENGTH), float("-inf")).triu(1)
    module = SimpleNamespace(num_key_value_groups=groups, training=False)
    y_BLHE, _ = eager_attention_forward(module, C, B, V, mask_LL, scaling=0.5)
    close(added_BLD, y_BLHE.flatten(2) @ weights["output"].T)


@pytest.mark.parametrize("name", ["Rec-1", "Rec-2", "repeated recurrence"])
def test_the_recurrence_is_that_of_mamba_2_times_its_rate(name, generator):
    features = {role: x.float() for role, x in features_for(name, LENGTH, generator).items()}
    rate_H = torch.rand(4, generator=generator) + 0.5
    C, B, V, f = (x.repeat_interleave(4 // x.shape[2], 2) for x in (features[role] for role in "CBVA"))
    step_BLH = f.squeeze(-1) / rate_H
    theirs = mamba2_chunk_scan(V, step_BLH, -rate_H, B, C, chunk_size=16)
    gain_H1 = rate_H.unsqueeze(-1) / C.shape[-1] ** 0.5
    ours, _ = mixer_for(name).parallel(features, None)
    close(ours, (gain_H1 * theirs).flatten(2))
    states, state_BHPN = states_for(name, dtype=torch.float32), torch.zeros(2, 4, V.shape[-1], C.shape[-1])
    for i in range(5):
        one = {role: x[:, i : i + 1] for role, x in features.items()}
        ours_B1E, states = mixer_for(name).step(one, states)
        dt_BHP = step_BLH[:, i].unsqueeze(-1).expand(-1, -1, V.shape[-1])
        A_HPN = -rate_H[:, None, None].expand(*state_BHPN.shape[1:])
        theirs_BHP = mamba2_selective_state_update(state_BHPN, V[:, i], dt_BHP, A_HPN, B[:, i], C[:, i])
        close(ours_B1E.flatten(1), (gain_H1 * theirs_BHP).flatten(1))


def test_the_short_convolution_is_that_of_lfm2(generator):
    x_BLD = torch.randn(2, LENGTH, WIDTH, generator=generator)
    weights, added_BLD = whole_layer("GConv-1", x_BLD)
    config = Lfm2Config(
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        conv_L_cache=3,
        conv_bias=False,
        layer_types=["conv"],
    )
    theirs = Lfm2ShortConv(config, 0)
    with torch.no_grad():
        theirs.in_proj.weight.copy_(torch.cat([weights[f"{role}.projection"] for role in "BCV"]))
        theirs.conv.weight.copy_(weights["K.filter"].flip(-1).unsqueeze(1))
        theirs.out_proj.weight.copy_(weights["output"])
        close(added_BLD, theirs(rms_norm(x_BLD, torch.ones(WIDTH))))


def test_a_featurizer_s_short_filter_is_that_of_mamba(generator):
    u_BLD, filter_DK = (
        torch.randn(2, LENGTH, WIDTH, generator=generator),
        torch.randn(WIDTH, 4, generator=generator),
    )
    ours, _ = short_filter(u_BLD, filter_DK, None)
    theirs = causal_conv1d_fn(u_BLD.transpose(1, 2), filter_DK.flip(-1), None, "silu")
    close(torch.nn.functional.silu(ours), theirs[..., :LENGTH].transpose(1, 2))


def test_the_gated_unit_is_that_of_llama(generator):
    x_BLD = torch.randn(2, LENGTH, WIDTH, generator=generator)
    weights, added_BLD = whole_layer("GMemless", x_BLD)
    theirs = LlamaMLP(llama(intermediate_size=3 * WIDTH))
    with torch.no_grad():
        theirs.gate_proj.weight.copy_(weights["C.projection"])
        theirs.up_proj.weight.copy_(weights["V.projection"])
        theirs.down_proj.weight.copy_(weights["output"])
        close(added_BLD, theirs(LlamaRMSNorm(WIDTH, eps=EPSILON)(x_BLD)))


def test_the_norm_is_that_of_llama(generator):
    x_BLD, weight_D = torch.randn(2, 5, WIDTH, generator=generator), torch.randn(WIDTH, generator=generator)
    theirs = LlamaRMSNorm(WIDTH, eps=EPSILON)
    theirs.weight.data.copy_(weight_D)
    close(rms_norm(x_BLD, weight_D), theirs(x_BLD).detach())
