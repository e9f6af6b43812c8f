"""Recurrences against transformers: Mamba-2's layer, the scans of Mamba-2 and Mamba, RecurrentGemma's unit.

Scans are compared from feature groups on, since their models make those otherwise than ours.

Legend: B batch, L length, D channels, H heads, N state, P channels per head, G batch · heads.
"""

from functools import partial

import pytest
import torch
from torch.nn import functional

from tests.livs.layers import features_for, liv_class, states_for
from tests.oracles.comparison import (
    BATCH,
    FORMS,
    HEAD_DIM,
    LENGTH,
    WIDTH,
    assert_same_function,
    assert_same_model,
    copies_for_backward,
    mix,
    model_of,
)
from tests.oracles.peers import (
    RecurrentGemmaConfig,
    RecurrentGemmaRglru,
    mamba2_chunk_scan,
    mamba2_selective_state_update,
    mamba_2,
    mamba_selective_scan,
    mamba_selective_state_update,
)

LAYERS = {
    "Rec-1": ("Rec-1", 16),
    "Rec-2": ("Rec-2", 2),
    "Rec-1-Diff": ("Rec-1-Diff", 16),
    "grouped": (liv_class("grouped", "54111", "324252-324252-324211-111211", "CBVA"), 5),
}
"""Class and its states per channel."""

SCANNED = ["Rec-1", "Rec-2", "repeated recurrence", "plain recurrence"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("liv", "states"), LAYERS.values(), ids=LAYERS)
def test_the_recurrence_is_mamba_2_without_gate_and_skip(liv, states, form):
    assert_same_model(model_of(liv), partial(mamba_2, states=states), form)


def mixed(name, features, form, empty):
    """The whole sequence through a class's mixer: at once, or token by token from empty states."""
    if form != "step":
        return mix(name, features, form)[0]
    states, outputs = empty, []
    for i in range(features["V"].shape[1]):
        step_features = {role: x[:, i : i + 1] for role, x in features.items()}
        y_B1E, states = mix(name, step_features, form, states, i)
        outputs.append(y_B1E)
    return torch.cat(outputs, 1)


def assert_same_scan(name, scan, form, generator, length=LENGTH):
    """``scan(features, form)`` of all heads, but for 1/√N, against a class's mixer."""
    features = features_for(name, length, generator, dtype=torch.float32)
    features = {role: x.requires_grad_() for role, x in features.items()}
    ours = mixed(name, features, form, states_for(name, dtype=torch.float32))
    heads = WIDTH // HEAD_DIM
    expanded = {role: x.repeat_interleave(heads // x.shape[2], 2) for role, x in features.items()}
    with copies_for_backward():
        theirs_BLHP = scan(expanded, form)
    assert_same_function(ours, theirs_BLHP.flatten(2) / features["C"].shape[-1] ** 0.5, features)


def mamba_2_scan(features, step_BLH, rate_H, form):
    """That of Mamba-2: chunks of tokens, or token by token."""
    C, B, V = (features[role] for role in "CBV")
    if form != "step":
        return mamba2_chunk_scan(V, step_BLH, -rate_H, B, C, chunk_size=8)
    state_BHPN = torch.zeros(BATCH, *V.shape[2:], C.shape[-1])
    A_HPN, outputs = -rate_H[:, None, None].expand(state_BHPN.shape[1:]), []
    for i in range(V.shape[1]):
        step_BHP = step_BLH[:, i].unsqueeze(-1).expand(V[:, i].shape)
        outputs.append(mamba2_selective_state_update(state_BHPN, V[:, i], step_BHP, A_HPN, B[:, i], C[:, i]))
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCANNED)
def test_the_recurrence_is_mamba_2_s_scan_times_its_rate(name, form, generator):
    rate_H = torch.rand(WIDTH // HEAD_DIM, generator=generator) + 0.5

    def scan(features, form):
        step_BLH = features["A"].squeeze(-1) / rate_H
        return rate_H.unsqueeze(-1) * mamba_2_scan(features, step_BLH, rate_H, form)

    assert_same_scan(name, scan, form, generator)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["LA-1", "linear attention of groups"])
def test_linear_attention_is_mamba_2_s_scan_without_decay_over_the_tokens_read(name, form, generator):
    length = 150  # its chunks are longer

    def scan(features, form):
        ones_BLH = torch.ones(features["V"].shape[:3])
        y_BLHP = mamba_2_scan(features, ones_BLH, torch.zeros(ones_BLH.shape[-1]), form)
        return y_BLHP / torch.arange(1.0, length + 1).view(-1, 1, 1)

    assert_same_scan(name, scan, form, generator, length)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCANNED)
def test_the_recurrence_is_mamba_s_scan_with_one_decay_per_head(name, form, generator):
    def scan(features, form):
        """With A = -1 its step size is f; its B and C serve all channels, so heads are put into the batch."""
        C, B, V = (features[role] for role in "CBV")
        f_BLHP = features["A"].expand(V.shape)
        C_GNL, B_GNL, V_GPL, f_GPL = (x.permute(0, 2, 3, 1).flatten(0, 1) for x in (C, B, V, f_BLHP))
        A_PN = -torch.ones(V.shape[-1], C.shape[-1])
        if form != "step":
            y_GPL = mamba_selective_scan(V_GPL, f_GPL, A_PN, B_GNL, C_GNL)
        else:
            state_GPN, outputs = torch.zeros(len(V_GPL), *A_PN.shape), []
            for C_GN, B_GN, V_GP, f_GP in zip(
                *(x.unbind(-1) for x in (C_GNL, B_GNL, V_GPL, f_GPL)), strict=True
            ):
                outputs.append(mamba_selective_state_update(state_GPN, V_GP, f_GP, A_PN, B_GN, C_GN))
            y_GPL = torch.stack(outputs, -1)
        return y_GPL.unflatten(0, (BATCH, -1)).permute(0, 3, 1, 2)

    assert_same_scan(name, scan, form, generator)


@pytest.mark.parametrize("form", FORMS)
def test_a_head_of_one_channel_and_state_is_recurrent_gemma_s_unit(form, generator):
    """Its h_i = a_i h_{i-1} + √(1 - a_i²) g_i x_i is ours: f = -log a, C = B = 1, V = √(1 - a²) g x / f."""
    unit = RecurrentGemmaRglru(RecurrentGemmaConfig(lru_width=WIDTH, num_attention_heads=4)).double()
    unit._rnn_scan = partial(unit._rnn_scan, acc_dtype=torch.float64)  # f (x / f) costs digits of ∂f
    x_BLD = torch.randn(BATCH, LENGTH, WIDTH, generator=generator, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        for weight in unit.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 2)  # ours stops at f = 16
    pieces = x_BLD.split(1 if form == "step" else LENGTH, 1)
    starts = range(0, LENGTH, pieces[0].shape[1])
    theirs = torch.cat(
        [
            unit(piece, torch.arange(start, start + piece.shape[1])[None])
            for start, piece in zip(starts, pieces, strict=True)
        ],
        1,
    )
    gate_BLD, decay_BLD = (
        torch.einsum("blhi,hij->blhj", x_BLD.unflatten(-1, (4, -1)), weight).add(bias).flatten(2).sigmoid()
        for weight, bias in (
            (unit.input_gate_weight, unit.input_gate_bias),
            (unit.recurrent_gate_weight, unit.recurrent_gate_bias),
        )
    )
    f_BLD = 8 * decay_BLD * functional.softplus(unit.recurrent_param)
    scale_BLD = (1 - torch.exp(-2 * f_BLD)).sqrt()
    first_L1 = (torch.arange(LENGTH) == 0).unsqueeze(-1)
    V_BLD = torch.where(first_L1, 1.0, scale_BLD) * gate_BLD * x_BLD / f_BLD
    features = {"C": torch.ones_like(f_BLD), "B": torch.ones_like(f_BLD), "V": V_BLD, "A": f_BLD}
    features = {role: x.unsqueeze(-1) for role, x in features.items()}
    ours = mixed("Rec-1", features, form, {"state": torch.zeros(BATCH, WIDTH, 1, 1, dtype=x_BLD.dtype)})
    assert_same_function(ours, theirs, {"x": x_BLD} | dict(unit.named_parameters()))
