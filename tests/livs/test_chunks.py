"""Chunks of sequences, and states carried between them."""

import pytest
import torch

from star_core.livs import chunks as module
from star_core.livs.chunks import NEGLIGIBLE, carry, chunks, decays, unchunk


def random(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 11])
def test_chunks_are_filled_up_with_zeros_and_joined_again(length, generator):
    x_BLHX = random(generator, 2, length, 3, 5).requires_grad_()
    x_BHKQX = chunks(x_BLHX, 4)
    assert x_BHKQX.shape == (2, 3, -(-length // 4), 4, 5)
    assert torch.equal(x_BHKQX.flatten(2, 3)[:, :, :length], x_BLHX.transpose(1, 2))
    assert not x_BHKQX.flatten(2, 3)[:, :, length:].any()
    assert torch.equal(unchunk(x_BHKQX, length), x_BLHX)
    pull_BLHX = random(generator, 2, length, 3, 5)
    (gradient_BLHX,) = torch.autograd.grad((unchunk(x_BHKQX.square(), length) * pull_BLHX).sum(), x_BLHX)
    torch.testing.assert_close(gradient_BLHX, 2 * x_BLHX * pull_BLHX)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("start", ["from nothing", "from a state"])
def test_states_are_carried_as_in_a_loop(start, count, generator, monkeypatch):
    monkeypatch.setattr(module, "GROUP", 3)
    decay_BHK1, written_BHKNP = -random(generator, 2, 3, count, 1).exp(), random(generator, 2, 3, count, 4, 5)
    initial_BHNP = None if start == "from nothing" else random(generator, 2, 3, 4, 5)
    before_BHKNP, last_BHNP = carry(decay_BHK1, written_BHKNP, initial_BHNP)
    state_BHNP = torch.zeros_like(last_BHNP) if initial_BHNP is None else initial_BHNP
    for k in range(count):
        torch.testing.assert_close(before_BHKNP[:, :, k], state_BHNP)
        state_BHNP = decay_BHK1[:, :, k, :, None].exp() * state_BHNP + written_BHKNP[:, :, k]
    torch.testing.assert_close(last_BHNP, state_BHNP)


def test_a_chunk_that_forgets_everything_leaves_the_next_ones_exact(generator):
    written_BHKNP = random(generator, 1, 1, 5, 2, 2)
    decay_BHK1 = torch.tensor([0.0, -1e6, -1e-3, -1e-3, -1e-3], dtype=torch.float64).view(1, 1, 5, 1)
    _, last_BHNP = carry(decay_BHK1, written_BHKNP, None)
    _, without_BHNP = carry(decay_BHK1[:, :, 2:], written_BHKNP[:, :, 2:], written_BHKNP[:, :, 1])
    torch.testing.assert_close(last_BHNP, without_BHNP, rtol=1e-12, atol=2 * torch.tensor(-NEGLIGIBLE).exp())


def test_decays_are_zero_above_the_diagonal_however_large_their_logarithms():
    total_Q1 = torch.tensor([[-1.0], [-500.0], [-1000.0]])
    decay_QQ = decays(total_Q1, total_Q1)
    assert torch.equal(decay_QQ.diagonal(), torch.ones(3))
    assert not decay_QQ.triu(1).any()
    assert decay_QQ.isfinite().all()
    assert not decays(total_Q1, total_Q1, diagonal=0).triu().any()
