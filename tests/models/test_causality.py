"""No token reads a later one: to the bit, or within rounding where there is a Fourier transform."""

import pytest
import torch

from star_core import build_model
from tests.livs.layers import LONG_FILTERS, MEMORYLESS, PLACES
from tests.models.language_models import BORDERS, fed, stack, tokens

LENGTH = 130
POSITIONS = [1, *BORDERS, 100]

every_class = pytest.mark.parametrize("name", PLACES)


def changed(tokens_BL, position):
    """The same tokens but for one."""
    other_BL = tokens_BL.clone()
    other_BL[:, position] = (other_BL[:, position] + 1) % 50
    return other_BL


def assert_same(after, before, rounds):
    if rounds:
        torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    else:
        assert torch.equal(after, before)


def assert_causal(name, logits_of, positions, tokens_BL, rounds):
    before = logits_of(tokens_BL)
    for position in positions:
        after = logits_of(changed(tokens_BL, position))
        assert_same(after[:, :position], before[:, :position], rounds)
        assert not torch.allclose(after[:, position], before[:, position], atol=1e-3)
        if name not in MEMORYLESS:
            assert not torch.equal(after[:, position + 1 :], before[:, position + 1 :])


@every_class
def test_a_token_changes_no_bit_of_an_earlier_logit(name, generator):
    model = build_model(stack(name))
    with torch.no_grad():
        tokens_BL = tokens(generator, batch=1, length=LENGTH)
        assert_causal(name, model, POSITIONS, tokens_BL, name in LONG_FILTERS)


@every_class
def test_a_token_changes_no_bit_of_an_earlier_logit_behind_a_cache(name, generator):
    model = build_model(stack(name))
    tokens_BL = tokens(generator, batch=1, length=LENGTH)
    split, positions = [10, 120], [10 + border for border in BORDERS[1::3]]
    assert_causal(name, lambda one_BL: fed(model, one_BL, split), positions, tokens_BL, name in LONG_FILTERS)


@every_class
def test_the_reference_is_causal_to_the_bit(name, generator):
    model = build_model(stack(name))
    with torch.no_grad():
        tokens_BL = tokens(generator, batch=1, length=67)
        assert_causal(name, lambda one_BL: model(one_BL, form="reference"), (16, 64), tokens_BL, False)


@every_class
def test_the_gradient_of_a_logit_by_a_later_token_is_nothing(name, generator):
    backbone = build_model(stack(name)).backbone
    x_BLD = torch.randn(len(POSITIONS), LENGTH, 16, generator=generator).requires_grad_()
    y_BLD, _ = backbone(x_BLD)
    read_BD = torch.stack([y_LD[position] for y_LD, position in zip(y_BLD, POSITIONS, strict=True)])
    (gradient_BLD,) = torch.autograd.grad((read_BD * torch.randn(16, generator=generator)).sum(), x_BLD)
    for gradient_LD, position in zip(gradient_BLD, POSITIONS, strict=True):
        later_LD = gradient_LD[position + 1 :]
        assert_same(later_LD, torch.zeros_like(later_LD), name in LONG_FILTERS)
        assert gradient_LD[position].abs().max() > 1e-3
        assert (gradient_LD[:position].abs().max() > 0) == (name not in MEMORYLESS)
