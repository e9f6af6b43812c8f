"""Half precision: every class stays within the rounding of bfloat16, which keeps 8 bits of a number.

Errors are relative to the norm of what they are errors of. One rounding is 0.2 %; a logit or gradient
has gone through some twenty of them, independent for the most part.
"""

import copy

import pytest
import torch
from torch.nn import functional

from star_core import build_model
from tests.livs.layers import PLACES
from tests.models.language_models import fed, stack, tokens

LENGTH = 70
SPLITS = {"prefill": [3, LENGTH - 3], "step": [0] * LENGTH}

every_class = pytest.mark.parametrize("name", PLACES)


def error(actual, expected):
    return ((actual.double() - expected.double()).norm() / expected.double().norm()).item()


def loss_of(logits_BLV, tokens_BL):
    return functional.cross_entropy(logits_BLV.float().flatten(0, 1), tokens_BL[:, 1:].flatten())


@every_class
def test_training_under_autocast_has_the_gradients_of_single_precision(name, generator):
    model, tokens_BL = build_model(stack(name)), tokens(generator, batch=4, length=LENGTH + 1)
    logits, gradients = [], []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits.append(model(tokens_BL[:, :-1]))
            loss = loss_of(logits[-1], tokens_BL)
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    assert error(logits[1], logits[0]) < 0.02
    flat, flat_half = (torch.cat([gradient.flatten() for gradient in each]) for each in gradients)
    assert error(flat_half, flat) < 0.03
    for (path, weight), single, half in zip(model.named_parameters(), *gradients, strict=True):
        assert half.dtype is weight.dtype
        # A weight whose gradient happens to cancel out is judged by the size of the others.
        assert (half - single).norm() < 0.15 * single.norm() + 0.02 * flat.norm(), path


@every_class
def test_a_model_in_bfloat16_has_the_logits_of_its_weights_in_single_precision(name, generator):
    model, tokens_BL = build_model(stack(name), dtype=torch.bfloat16), tokens(generator, length=LENGTH)
    with torch.no_grad():
        expected_BLV = copy.deepcopy(model).float()(tokens_BL)
        computed = {"forward": model(tokens_BL), "reference": model(tokens_BL, form="reference")}
    computed |= {way: fed(model, tokens_BL, split) for way, split in SPLITS.items()}
    for way, logits_BLV in computed.items():
        assert logits_BLV.dtype is torch.bfloat16, way
        assert error(logits_BLV, expected_BLV) < 0.02, way


@every_class
def test_a_model_in_bfloat16_trains(name, generator):
    model, tokens_BL = build_model(stack(name), dtype=torch.bfloat16), tokens(generator, length=LENGTH)
    single = copy.deepcopy(model).float()
    for each in (model, single):
        loss_of(each(tokens_BL[:, :-1]), tokens_BL).backward()
    gradients = [torch.cat([p.grad.flatten() for p in each.parameters()]) for each in (model, single)]
    assert gradients[0].dtype is torch.bfloat16
    assert error(*gradients) < 0.05


@every_class
def test_a_cache_in_bfloat16_takes_half_the_bytes(name):
    cache = build_model(stack(name), dtype=torch.bfloat16).init_cache(2, 40)
    assert 2 * cache.num_bytes == stack(name).cache_bytes(40, 2)
    assert all(state.dtype is torch.bfloat16 for state in cache.tensors.values())
