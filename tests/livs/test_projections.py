"""Several dense maps of one input: the same as each by itself, forwards and backwards."""

import pytest
import torch
from torch.nn import functional

from star_core.livs.projections import projections


def problem(generator, outputs=(4, 7, 1), dtype=torch.float64):
    h_BLD = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    weights = [torch.randn(size, 5, generator=generator, dtype=torch.float64) for size in outputs]
    return h_BLD, [weight.requires_grad_() for weight in weights]


def plain(h_BLD, weights):
    return tuple(functional.linear(h_BLD, weight) for weight in weights)


def gradients(made, read, leaves):
    return torch.autograd.grad(sum(made[i].square().sum() for i in read), leaves, allow_unused=True)


@pytest.mark.parametrize("read", [(0, 1, 2), (1,), (2, 0), (0, 2)], ids=str)
def test_values_and_gradients_are_those_of_plain_maps_whichever_of_them_are_read(read, generator):
    h_BLD, weights = problem(generator)
    made, expected = projections(h_BLD, weights), plain(h_BLD, weights)
    for actual, wanted in zip(made, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-14, atol=1e-14)
    computed = gradients(made, read, [h_BLD, *weights])
    for actual, wanted in zip(computed, gradients(expected, read, [h_BLD, *weights]), strict=True):
        assert (actual is None) == (wanted is None)
        if actual is not None:
            torch.testing.assert_close(actual, wanted, rtol=1e-12, atol=1e-12)


def test_gradients_match_finite_differences(generator):
    h_BLD, weights = problem(generator)
    assert torch.autograd.gradcheck(lambda h_BLD, *weights: projections(h_BLD, weights), (h_BLD, *weights))


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_are_maps_too(count, generator):
    h_BLD, weights = problem(generator, outputs=(4,) * count)
    made = projections(h_BLD, weights)
    assert len(made) == count
    assert all(torch.equal(*pair) for pair in zip(made, plain(h_BLD, weights), strict=True))


def test_a_gradient_is_not_written_over_what_autograd_still_needs(generator):
    h_BLD, weights = problem(generator)
    made = projections(h_BLD, weights)
    first = gradients(made, (0, 1, 2), [h_BLD, *weights])
    h_BLD, weights = h_BLD.detach().requires_grad_(), [w.detach().requires_grad_() for w in weights]
    made = projections(h_BLD, weights)
    loss = sum(output.square().sum() for output in made)
    for _ in range(2):
        again = torch.autograd.grad(loss, [h_BLD, *weights], retain_graph=True)
        assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


def test_outputs_have_the_type_of_the_input_and_gradients_that_of_their_leaf(generator):
    h_BLD, weights = problem(generator, dtype=torch.bfloat16)
    made = projections(h_BLD, weights)
    assert {output.dtype for output in made} == {torch.bfloat16}
    for leaf, gradient in zip([h_BLD, *weights], gradients(made, (0, 1, 2), [h_BLD, *weights]), strict=True):
        assert gradient.dtype is leaf.dtype
        assert gradient.shape == leaf.shape
