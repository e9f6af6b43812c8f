"""Convolutions with implicit filters against SciPy's convolution, and their parts against loops over time.

Legend: B batch, L length, D channels, M modes.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional

from star_core.livs.long_filter import advance, carry_out, convolve, fast_length, response
from tests.oracles.comparison import FORMS, assert_same_model, by_branch, model_of

signal = pytest.importorskip("scipy.signal")


class Convolution(torch.autograd.Function):
    """SciPy's causal convolution of (B, D, L) with (D, L); its gradients are correlations, from SciPy too."""

    @staticmethod
    def forward(ctx, u_BDL, K_DL):
        ctx.save_for_backward(u_BDL, K_DL)
        return _convolved(u_BDL, K_DL)

    @staticmethod
    def backward(ctx, gradient_BDL):
        u_BDL, K_DL = ctx.saved_tensors
        future_BDL = gradient_BDL.flip(-1)
        return _convolved(future_BDL, K_DL).flip(-1), _convolved(future_BDL, u_BDL).flip(-1).sum(0)


def _convolved(u_BDL, v_DL):
    """Σ_t v_t u_{i-t}, for a filter of all sequences or one of each."""
    u, v = u_BDL.numpy(), v_DL.expand_as(u_BDL).numpy()
    return torch.from_numpy(signal.fftconvolve(u, v, axes=-1)[..., : u.shape[-1]].copy())


@by_branch
def scipy_convolution(weights, cached):
    """C · (K ∗ (B · V)) with K_t = Re Σ_m c_m exp(p_m t), p_m = -softplus(decay) + i · frequency."""
    residue_DM1 = torch.complex(weights["K.real"], weights["K.imaginary"]).unsqueeze(-1)
    log_pole_DM1 = torch.complex(-functional.softplus(weights["K.decay"]), weights["K.frequency"]).unsqueeze(
        -1
    )
    seen = []

    def apply(h_BLD, start):
        seen.append(h_BLD)
        h_BLD = torch.cat(seen if cached else seen[-1:], 1)
        C_BDL, B_BDL, V_BDL = ((h_BLD @ weights[f"{role}.projection"].T).mT for role in "CBV")
        K_DL = (residue_DM1 * torch.exp(log_pole_DM1 * torch.arange(h_BLD.shape[1]))).sum(1).real
        y_BDL = C_BDL * Convolution.apply(B_BDL * V_BDL, K_DL)
        return y_BDL.mT[:, start:] @ weights["output"].T

    return apply


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize("name", ["GConv-2", "GConv-2-Diff"])
def test_the_long_convolution_is_that_of_scipy(name, dtype, form):
    assert_same_model(model_of(name, dtype=dtype), scipy_convolution, form)


def random_filter(generator, channels=3, modes=4):
    decay = -torch.rand(channels, modes, generator=generator, dtype=torch.float64) / 4
    frequency = 3 * torch.rand(channels, modes, generator=generator, dtype=torch.float64)
    residue = torch.randn(channels, modes, generator=generator, dtype=torch.complex128)
    return torch.stack([residue, torch.complex(decay, frequency)])


def values(filter_2DM, length):
    """K_t by definition, one lag at a time."""
    residue, pole = filter_2DM[0].numpy(), np.exp(filter_2DM[1].numpy())
    return np.stack([(residue * pole**t).sum(-1).real for t in range(length)], -1)


@pytest.mark.parametrize("length", [1, 2, 3, 16, 17, 100, 513])
def test_the_response_is_the_sum_of_the_modes(length, generator):
    filter_2DM = random_filter(generator)
    np.testing.assert_allclose(
        response(*filter_2DM, length), values(filter_2DM, length), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("length", [1, 2, 31, 100, 257])
def test_the_convolution_is_that_of_scipy(length, generator):
    filter_2DM = random_filter(generator)
    u_BDL = torch.randn(2, 3, length, generator=generator, dtype=torch.float64)
    K_1DL = values(filter_2DM, length)[None]
    theirs = signal.fftconvolve(u_BDL.numpy(), K_1DL, axes=-1)[..., :length]
    np.testing.assert_allclose(convolve(u_BDL, torch.from_numpy(K_1DL[0])), theirs, rtol=1e-9, atol=1e-9)
    single = convolve(u_BDL.float(), torch.from_numpy(K_1DL[0]).float())
    np.testing.assert_allclose(single, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 5, 64, 100])
def test_the_state_is_that_of_a_loop_over_time(length, generator):
    filter_2DM = random_filter(generator)
    u_BDL = torch.randn(2, 3, length, generator=generator, dtype=torch.float64)
    start = torch.randn(2, 3, 4, generator=generator, dtype=torch.complex128)
    state, silent, carried = start, start, []
    for i in range(length):
        state = filter_2DM[1].exp() * state + u_BDL[..., i, None]
        silent = filter_2DM[1].exp() * silent
        carried.append((filter_2DM[0] * silent).sum(-1).real)
    torch.testing.assert_close(advance(filter_2DM[1], u_BDL, start), state, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        carry_out(filter_2DM, start, length), torch.stack(carried, -1), rtol=1e-9, atol=1e-9
    )


def test_transforms_have_fast_lengths():
    for length in range(2, 5000):
        size = fast_length(length)
        assert length <= size < 1.5 * length + 1
        assert bin(size).count("1") == 1 or bin(size).strip("0b").strip("0") == "11"
