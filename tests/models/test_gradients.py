"""Gradients of whole models by every weight are those of finite differences."""

import numpy as np
import pytest
import torch

from tests.livs.layers import NAMED, OTHERS, PLACES
from tests.models.language_models import compiled, double, stack, tokens

LENGTH = 67
"""Tokens: beyond a window and the longest chunk."""


STEP = 1e-6
"""Of finite differences: errors of rounding and of curvature are both far below a slope."""


def assert_gradients_are_right(model, tokens_BL, generator):
    """Compares slopes along a random direction of every weight."""
    pull_BLV = torch.randn(*tokens_BL.shape, 50, generator=generator, dtype=torch.float64)

    def loss():
        return (model(tokens_BL) * pull_BLV).sum()

    gradients = torch.autograd.grad(loss(), list(model.parameters()))
    for (path, weight), gradient in zip(model.named_parameters(), gradients, strict=True):
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            start, losses = weight.clone(), []
            for step in (STEP, -STEP):
                weight.copy_(start + step * direction)
                losses.append(loss())
            weight.copy_(start)
        slope, expected = (losses[0] - losses[1]) / (2 * STEP), (gradient * direction).sum()
        assert torch.allclose(slope, expected, rtol=1e-5, atol=1e-5), path


@pytest.mark.parametrize("name", PLACES)
def test_gradients_of_every_class_match_finite_differences(name, generator):
    assert_gradients_are_right(double(stack(name, depth=1)), tokens(generator, 1, LENGTH), generator)


@pytest.mark.parametrize("name", PLACES)
def test_gradients_of_every_class_are_those_of_its_reference(name, generator):
    model, tokens_BL = double(stack(name)), tokens(generator, batch=1, length=130)
    weights = list(model.parameters())
    pull_BLV = torch.randn(1, 130, 50, generator=generator, dtype=torch.float64)
    computed, expected = (
        torch.autograd.grad((model(tokens_BL, form=form) * pull_BLV).sum(), weights)
        for form in ("parallel", "reference")
    )
    for actual, wanted in zip(computed, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("space", [NAMED, OTHERS], ids=lambda space: space.name)
def test_gradients_of_shared_weights_and_features_match_finite_differences(space, seed, generator):
    arch = compiled(space.sample(np.random.default_rng(seed)), space, head_dim=4)
    assert_gradients_are_right(double(arch), tokens(generator, 1, 20), generator)
