"""Maps over channels as the matrices they stand for."""

import pytest
import torch

from star_core.livs.channel_map import channel_map, gather, spread


def random(generator, *shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_a_dense_map_is_a_matrix(generator):
    x_BLD, weight_SD = random(generator, 2, 3, 6), random(generator, 4, 6)
    torch.testing.assert_close(channel_map(x_BLD, weight_SD), x_BLD @ weight_SD.T)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_grouped_map_is_a_block_diagonal_matrix(blocks, generator):
    x_BLD, weight_GSD = random(generator, 2, 3, 6), random(generator, blocks, 4, 6 // blocks)
    torch.testing.assert_close(channel_map(x_BLD, weight_GSD), x_BLD @ torch.block_diag(*weight_GSD).T)


def test_a_diagonal_map_makes_scaled_copies_of_every_channel(generator):
    x_BLD, scale_ED = random(generator, 2, 3, 6), random(generator, 4, 6)
    matrix_SD = torch.cat([scale_D.diag() for scale_D in scale_ED])
    torch.testing.assert_close(spread(x_BLD, scale_ED), x_BLD @ matrix_SD.T)
    y_BLS = random(generator, 2, 3, 24)
    torch.testing.assert_close(gather(y_BLS, scale_ED), y_BLS @ matrix_SD)


def test_diagonal_maps_keep_the_precision_of_their_input(generator):
    x_BLD, scale_ED = random(generator, 2, 3, 6).bfloat16(), random(generator, 4, 6)
    assert spread(x_BLD, scale_ED).dtype is torch.bfloat16
    assert gather(spread(x_BLD, scale_ED), scale_ED).dtype is torch.bfloat16
