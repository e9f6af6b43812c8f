"""Attention with a pointwise nonlinearity, whose rows are made block by block."""

import pytest
import torch

from star_core.livs.low_rank import ROWS
from star_core.livs.rotary import Positions
from star_core.structures.low_rank import LOW_RANK
from star_core.vocabulary.tables import Nonlinearity, Sparsity
from tests.livs.layers import ARITHMETIC, features_for, layer_of, mixer_for

LENGTH = 2 * ROWS + 30


def is_pointwise(name):
    operator = layer_of(name).liv_class.operator
    return (
        operator.token_mixing == LOW_RANK.allele
        and operator.sparsity is Sparsity.NONE
        and operator.nonlinearity in (Nonlinearity.RELU, Nonlinearity.SWISH)
    )


def leaves_for(name, generator):
    """Features to take gradients by."""
    features = features_for(name, LENGTH, generator, batch=1)
    return {role: x.requires_grad_() for role, x in features.items()}


pointwise = pytest.mark.parametrize("name", [name for name in ARITHMETIC if is_pointwise(name)])


@pointwise
def test_blocks_of_rows_are_the_reference_in_values_and_gradients(name, generator):
    features = leaves_for(name, generator)
    positions = Positions(0, LENGTH)
    expected_BLE = mixer_for(name).reference(features, positions)
    computed_BLE, _ = mixer_for(name).parallel(features, None, positions)
    torch.testing.assert_close(computed_BLE, expected_BLE, rtol=1e-9, atol=1e-9)
    pull_BLE = torch.randn(expected_BLE.shape, generator=generator, dtype=torch.float64)
    expected, computed = (
        torch.autograd.grad((y_BLE * pull_BLE).sum(), list(features.values()))
        for y_BLE in (expected_BLE, computed_BLE)
    )
    for actual, wanted in zip(computed, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-9, atol=1e-9)


@pointwise
def test_rows_are_made_again_backwards_rather_than_kept(name, generator):
    features = leaves_for(name, generator)
    kept = []

    def keep(x):
        kept.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        mixer_for(name).parallel(features, None, Positions(0, LENGTH))
    assert max(kept) < ROWS * ROWS


@pointwise
def test_a_long_piece_behind_a_history_has_the_last_rows(name, generator):
    features = features_for(name, LENGTH, generator, batch=1)
    expected_BLE = mixer_for(name).reference(features, Positions(0, LENGTH))
    start = LENGTH - ROWS - 7
    piece = {role: x if role in "BV" else x[:, start:] for role, x in features.items()}
    computed_BLE, _ = mixer_for(name).parallel(piece, None, Positions(start, LENGTH - start))
    torch.testing.assert_close(computed_BLE, expected_BLE[:, start:], rtol=1e-9, atol=1e-9)


@pointwise
def test_rows_are_the_same_with_and_without_gradients(name, generator):
    features = leaves_for(name, generator)
    with torch.no_grad():
        without_BLE, _ = mixer_for(name).parallel(features, None, Positions(0, LENGTH))
    with_BLE, _ = mixer_for(name).parallel(features, None, Positions(0, LENGTH))
    assert torch.equal(with_BLE, without_BLE)
