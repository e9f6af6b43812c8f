"""The norm that a feature group may have in the place of a pointwise function."""

import pytest
import torch

from star_core.livs.featurizers import Featurizer
from star_core.structures.shapes import NORM_EPSILON as EPSILON
from tests.livs.layers import layer_of


def normed(dtype, name="SA-3-Norm", role="B"):
    """The featurizer of a normed group of several heads, its weight away from where it starts."""
    group = next(group for group in layer_of(name, width=64, head_dim=8).groups if group.role == role)
    featurizer = Featurizer(group, torch.device("cpu"), dtype)
    with torch.no_grad():
        featurizer.norm.copy_(torch.linspace(0.5, 2, featurizer.norm.numel()))
    return featurizer


def test_every_head_is_normed_by_itself_with_one_weight(generator):
    featurizer = normed(torch.float64)
    assert featurizer.norm.shape == (8,)
    x_BLS = torch.randn(2, 5, 16, generator=generator, dtype=torch.float64)
    actual_BLHE, _ = featurizer(x_BLS, None)
    x_BLHE = x_BLS.view(2, 5, 2, 8)
    expected_BLHE = x_BLHE / (x_BLHE.square().mean(-1, keepdim=True) + EPSILON).sqrt() * featurizer.norm
    torch.testing.assert_close(actual_BLHE, expected_BLHE)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e18])
@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_a_norm_of_half_precision_is_rounded_once(weights, scale, generator):
    x_BLS = (scale * torch.randn(2, 5, 16, generator=generator)).bfloat16()
    actual_BLHE, _ = normed(weights)(x_BLS, None)
    expected_BLHE, _ = normed(weights).double()(x_BLS.double(), None)
    assert actual_BLHE.dtype is torch.bfloat16
    torch.testing.assert_close(actual_BLHE.double(), expected_BLHE, rtol=2**-8, atol=0)
