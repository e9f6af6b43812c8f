"""Rotary positions: turned by the formula, relative, and the same in whatever pieces."""

import pytest
import torch

from star_core.livs.rotary import Positions
from star_core.structures.low_rank import ROTARY_BASE as BASE


def random(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_pairs_are_turned_by_the_formula(generator):
    x_BLHE = random(generator, 2, 5, 3, 6)
    turned_BLHE = Positions(7, 5).rotate(x_BLHE)
    for step, f in ((0, 0), (4, 1), (3, 2)):
        angle = torch.tensor((7 + step) * BASE ** (-f / 3), dtype=torch.float64)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
        pair = slice(2 * f, 2 * f + 2)
        torch.testing.assert_close(turned_BLHE[:, step, :, pair], x_BLHE[:, step, :, pair] @ turn.T)


def test_scores_depend_on_the_distance_only(generator):
    query_E, key_E = random(generator, 2, 1, 1, 1, 8)
    scores = [
        (Positions(i, 1).rotate(query_E) * Positions(j, 1).rotate(key_E)).sum()
        for i, j in ((9, 2), (7, 0), (1007, 1000))
    ]
    torch.testing.assert_close(scores[1:], [scores[0]] * 2, rtol=1e-9, atol=1e-9)


def test_tokens_are_turned_alike_in_whatever_pieces(generator):
    x_BLHE = random(generator, 2, 9, 3, 4).float()
    pieces = [Positions(0, 4).rotate(x_BLHE[:, :4]), Positions(4, 5).rotate(x_BLHE[:, 4:])]
    assert torch.equal(torch.cat(pieces, 1), Positions(0, 9).rotate(x_BLHE))


def test_one_pass_serves_several_sizes_and_precisions(generator):
    positions = Positions(3, 4)
    for channels, dtype in ((4, torch.float32), (8, torch.float32), (4, torch.float64), (4, torch.bfloat16)):
        x_BLHE = random(generator, 1, 4, 2, channels).to(dtype)
        turned_BLHE = positions.rotate(x_BLHE)
        assert turned_BLHE.dtype is dtype
        assert torch.equal(turned_BLHE, Positions(3, 4).rotate(x_BLHE))


def test_what_a_compiler_sees_is_the_same(generator, monkeypatch):
    x_BLHE = random(generator, 2, 5, 3, 6)
    turned_BLHE = Positions(7, 5).rotate(x_BLHE)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(Positions(7, 5).rotate(x_BLHE), turned_BLHE, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("start", [0, 5])
def test_a_token_reads_itself_and_all_before_it(start, generator):
    counts_L = Positions(start, 3).counts(random(generator, 1))
    assert counts_L.tolist() == [start + 1, start + 2, start + 3]
    assert counts_L.dtype is torch.float64
