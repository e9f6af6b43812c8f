"""Any length, any batch and any way to feed a sequence, across the borders of chunks, windows and kernels."""

from itertools import cycle

import pytest
import torch

from tests.livs.layers import PLACES
from tests.models.language_models import BORDERS, double, fed, stack, tokens

LENGTHS = [1, 2, 3, *BORDERS, 130]
"""One token, fewer than a kernel has taps, and up to beyond two windows."""

SPLITS = {
    "a prompt of one token, then steps": [1] + [0] * 139,
    "pieces across borders, then steps": [1, 2, 60, 1, 2, 0, 64, *[0] * 9],
    "a long piece behind a short one": [3, 130, *[0] * 7],
    "a window filled by steps, left by a piece": [*[0] * 66, 70, *[0] * 4],
}

every_class = pytest.mark.parametrize("name", PLACES)


def assert_equal(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@every_class
def test_a_prefix_of_any_length_and_batch_has_the_logits_of_the_whole(name, generator):
    model, tokens_BL = double(stack(name)), tokens(generator, batch=5, length=130)
    with torch.no_grad():
        whole_BLV = model(tokens_BL)
        for batch, length in zip(cycle((1, 5, 2)), LENGTHS, strict=False):
            prefix_BL = tokens_BL[:batch, :length]
            logits_BLV = model(prefix_BL)
            assert logits_BLV.shape == (batch, length, 50)
            assert_equal(logits_BLV, whole_BLV[:batch, :length])
            assert_equal(model(prefix_BL, form="reference"), logits_BLV)


@every_class
def test_any_way_to_feed_a_sequence_gives_the_logits_of_forward(name, generator):
    model, tokens_BL = double(stack(name, depth=1)), tokens(generator, length=140)
    with torch.no_grad():
        logits_BLV = model(tokens_BL)
    for split in SPLITS.values():
        assert_equal(fed(model, tokens_BL, split), logits_BLV)
