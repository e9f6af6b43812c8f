"""Root-mean-square normalisation and its hand-written gradient."""

import pytest
import torch

from star_core.livs.norm import rms_norm
from star_core.structures.shapes import NORM_EPSILON as EPSILON

SHAPES = [(8,), (5, 8), (2, 3, 8), (1, 1, 8), (2, 3, 4, 1)]


def formula(x_D, weight_D):
    return weight_D * x_D / (x_D.square().mean(-1, keepdim=True) + EPSILON).sqrt()


def random(generator, *shape, scale=1.0):
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_those_of_the_formula(shape, scale, generator):
    x_D, weight_D = random(generator, *shape, scale=scale), random(generator, shape[-1])
    pull_D = torch.randn(shape, generator=generator, dtype=torch.float64)
    y_D, expected_D = rms_norm(x_D, weight_D), formula(x_D, weight_D)
    torch.testing.assert_close(y_D, expected_D, rtol=1e-12, atol=1e-12)
    computed = torch.autograd.grad((y_D * pull_D).sum(), (x_D, weight_D))
    expected = torch.autograd.grad((expected_D * pull_D).sum(), (x_D, weight_D))
    for actual, wanted in zip(computed, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-10, atol=1e-10 / scale)


def test_gradients_match_finite_differences(generator):
    assert torch.autograd.gradcheck(rms_norm, (random(generator, 2, 3, 8), random(generator, 8)))


def test_the_pass_without_gradients_has_the_same_bits(generator):
    x_D, weight_D = torch.randn(4, 8, generator=generator), torch.randn(8, generator=generator)
    with torch.no_grad():
        without_D = rms_norm(x_D, weight_D)
    assert torch.equal(rms_norm(x_D, weight_D.requires_grad_()), without_D)


def test_zeros_have_a_finite_gradient():
    x_D = torch.zeros(2, 8, requires_grad=True)
    rms_norm(x_D, torch.ones(8)).sum().backward()
    torch.testing.assert_close(x_D.grad, torch.full((2, 8), EPSILON**-0.5))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_neither_overflows_nor_vanishes(dtype, scale, generator):
    leaves = [random(generator, 3, 64, scale=scale).to(dtype), (1 + 0.1 * random(generator, 64)).to(dtype)]
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    pull_D = torch.randn(3, 64, generator=generator).to(dtype)
    y_D, expected_D = rms_norm(*leaves), formula(*exact)
    computed = y_D, *torch.autograd.grad((y_D * pull_D).sum(), leaves)
    expected = expected_D, *torch.autograd.grad((expected_D * pull_D.double()).sum(), exact)
    for actual, wanted in zip(computed, expected, strict=True):
        assert actual.dtype is dtype
        assert (actual.double() - wanted).norm() < 0.01 * wanted.norm()
