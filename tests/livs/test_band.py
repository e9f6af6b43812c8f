"""Bands: which tokens are read, by the blocks and by the operators."""

import pytest
import torch

from star_core.livs.band import band_mask, key_blocks, query_blocks, unblock, with_window
from star_core.livs.rotary import Positions
from star_core.structures.low_rank import WINDOW
from star_core.vocabulary.tables import Sparsity
from tests.livs.layers import ARITHMETIC, features_for, layer_of, mixer_for, states_for

BANDED = [name for name in ARITHMETIC if layer_of(name).liv_class.operator.sparsity is Sparsity.BANDED]


def positions_as_features(first, last):
    """(1, S, 1, 1): every token's feature is its position."""
    return torch.arange(first, last, dtype=torch.float64).view(1, -1, 1, 1)


@pytest.mark.parametrize("start", [0, 1, 5, WINDOW - 1, WINDOW, 200])
@pytest.mark.parametrize("length", [1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 2])
def test_a_token_reads_the_last_window_of_tokens_and_itself(length, start):
    query_NHW1 = query_blocks(positions_as_features(start, start + length))
    keys_BSHX = positions_as_features(start - WINDOW + 1, start + length)
    key_NHT1 = key_blocks(keys_BSHX)
    assert key_NHT1.shape[2] == 2 * WINDOW
    mask_N1WT = band_mask(1, len(query_NHW1), start, torch.device("cpu"))
    for n in range(len(query_NHW1)):
        for row in range(min(WINDOW, length - n * WINDOW)):
            position = int(query_NHW1[n, 0, row])
            read = key_NHT1[n, 0, mask_N1WT[n, 0, row], 0].tolist()
            assert read == list(range(max(0, position - WINDOW + 1), position + 1))


def test_every_row_of_a_filled_up_block_reads_something():
    assert band_mask(2, 3, 0, torch.device("cpu")).any(-1).all()


@pytest.mark.parametrize("length", [1, WINDOW, WINDOW + 1, 150])
def test_blocks_of_queries_are_joined_again(length, generator):
    x_BLHX = torch.randn(2, length, 3, 4, generator=generator)
    assert torch.equal(unblock(query_blocks(x_BLHX), 2, length), x_BLHX)


def test_a_window_precedes_the_tokens_of_a_pass(generator):
    x_BLHX, window_BSHX = (torch.randn(2, n, 3, 4, generator=generator) for n in (5, WINDOW - 1))
    assert torch.equal(with_window(x_BLHX, window_BSHX), torch.cat([window_BSHX, x_BLHX], 1))
    assert torch.equal(with_window(x_BLHX, None), with_window(x_BLHX, torch.zeros_like(window_BSHX)))


@pytest.mark.parametrize("form", ["reference", "parallel", "step"])
@pytest.mark.parametrize("name", BANDED)
def test_an_output_depends_on_the_values_of_one_window(name, form, generator):
    length, mixer = 2 * WINDOW + 2, mixer_for(name)
    features = features_for(name, length, generator, batch=1)
    # No score may be cut to zero by a ReLU, nor any value be read for a score of nothing.
    features["C"], features["B"] = features["C"].abs() + 0.1, features["B"].abs() + 0.1
    values_BLHX = features["V"].requires_grad_()
    if form == "reference":
        y_BLE = mixer.reference(features, Positions(0, length))
    elif form == "parallel":
        y_BLE, _ = mixer.parallel(features, None, Positions(0, length))
    else:
        states, outputs = states_for(name, batch=1), []
        for i in range(length):
            step_features = {role: x[:, i : i + 1] for role, x in features.items()}
            y_B1E, states = mixer.step(step_features, states, Positions(i, 1))
            outputs.append(y_B1E)
        y_BLE = torch.cat(outputs, 1)
    for position in (0, 1, WINDOW - 1, WINDOW, length - 1):
        (gradient_BLHX,) = torch.autograd.grad(y_BLE[:, position].sum(), values_BLHX, retain_graph=True)
        read_L = gradient_BLHX.abs().sum((0, 2, 3)) > 0
        assert read_L.nonzero().flatten().tolist() == list(range(max(0, position - WINDOW + 1), position + 1))
