"""Every LIV class against its operator T written out entry by entry, and its finite differences."""

import numpy as np
import pytest
import torch

from star_core.vocabulary.tables import Sparsity
from tests.livs.layers import PLACES
from tests.oracles import dense
from tests.oracles.comparison import (
    BANDED_LENGTH,
    FORMS,
    HEAD_DIM,
    WIDTH,
    class_of,
    logits_of,
    model_of,
    tokens_of,
)

LENGTH = 19
"""Long enough for more than one chunk of a recurrence."""
STEP = 1e-6
"""Of finite differences, along a direction of length one: too short to meet the corner of a ReLU."""


@pytest.mark.parametrize("name", PLACES)
def test_logits_and_gradients_are_those_of_the_dense_operator(name):
    liv = class_of(name)
    length = BANDED_LENGTH if liv.operator.sparsity is Sparsity.BANDED else LENGTH
    model = model_of(name, batch=1, length=length, dtype=torch.float64)
    tokens_BL = tokens_of(model, batch=1)
    parameters = dict(model.named_parameters())
    weights = {parameter_name: w.detach().numpy() for parameter_name, w in parameters.items()}

    def theirs(changed):
        return dense.logits(liv, weights | changed, tokens_BL[0].numpy(), WIDTH, HEAD_DIM)

    random = np.random.default_rng(0)
    probe_LV = random.standard_normal((length, length))
    directions, slopes = {}, {}
    for changed, weight in weights.items():
        direction = random.standard_normal(weight.shape)
        directions[changed] = direction / np.linalg.norm(direction)
        above, below = (theirs({changed: weight + sign * STEP * directions[changed]}) for sign in (1, -1))
        slopes[changed] = (probe_LV * (above - below)).sum() / (2 * STEP)
    expected_LV = theirs({})
    for form in FORMS:
        logits_LV = logits_of(model, tokens_BL, form)[0]
        np.testing.assert_allclose(logits_LV.detach(), expected_LV, rtol=1e-9, atol=1e-9, err_msg=form)
        gradients = torch.autograd.grad((torch.from_numpy(probe_LV) * logits_LV).sum(), parameters.values())
        for changed, gradient in zip(parameters, gradients, strict=True):
            slope = (gradient.numpy() * directions[changed]).sum()
            message = f"{form}, {changed}"
            np.testing.assert_allclose(slope, slopes[changed], rtol=1e-6, atol=1e-7, err_msg=message)
