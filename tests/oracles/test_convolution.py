"""Convolutions with explicit taps against transformers: LFM2's gated one, Mamba's short filter."""

import pytest
import torch

from star_core.livs.short_filter import short_filter, short_filter_step
from tests.livs.layers import liv_class
from tests.oracles.comparison import (
    BATCH,
    FORMS,
    LENGTH,
    WIDTH,
    assert_same_function,
    assert_same_model,
    copies_for_backward,
    model_of,
)
from tests.oracles.peers import causal_conv1d_fn, causal_conv1d_update, lfm2_convolution

LONGER = liv_class("six taps", "73111", "111211-111211-111211-321161", "CBVK")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "liv", ["GConv-1", "GConv-1-Diff", LONGER], ids=["GConv-1", "GConv-1-Diff", "six taps"]
)
def test_the_short_convolution_is_that_of_lfm2(liv, form):
    assert_same_model(model_of(liv), lfm2_convolution, form)


@pytest.fixture
def inputs(generator):
    """Inputs and taps of a short filter."""
    return {
        "u_BLD": torch.randn(BATCH, LENGTH, WIDTH, generator=generator, requires_grad=True),
        "filter_DK": torch.randn(WIDTH, 4, generator=generator, requires_grad=True),
    }


def test_the_short_filter_is_that_of_mamba(inputs):
    u_BLD, filter_DK = inputs.values()
    ours, _ = short_filter(u_BLD, filter_DK.unsqueeze(1), None)
    theirs_BDL = causal_conv1d_fn(u_BLD.transpose(1, 2), filter_DK.flip(-1), None, "silu")
    assert_same_function(torch.nn.functional.silu(ours), theirs_BDL.transpose(1, 2), inputs)


def test_the_short_filter_s_step_is_that_of_mamba(inputs):
    u_BLD, filter_DK = inputs.values()
    window_BWD, state_BDW = torch.zeros(BATCH, 3, WIDTH), torch.zeros(BATCH, WIDTH, 3)
    ours, theirs = [], []
    with copies_for_backward():
        for u_BD in u_BLD.unbind(1):
            y_B1D, window_BWD = short_filter_step(u_BD.unsqueeze(1), filter_DK.unsqueeze(1), window_BWD)
            ours.append(y_B1D)
            y_BD1 = causal_conv1d_update(u_BD.unsqueeze(2), state_BDW, filter_DK.flip(-1), None, None)
            theirs.append(y_BD1.transpose(1, 2))
    assert_same_function(torch.cat(ours, 1), torch.cat(theirs, 1), inputs)
    torch.testing.assert_close(window_BWD.flip(1), state_BDW.transpose(1, 2), rtol=0, atol=0)
