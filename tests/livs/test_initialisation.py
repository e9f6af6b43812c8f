"""Where weights start: scales, ranges, timescales."""

import math

import pytest
import torch

from star_core.livs.initialisation import INITIALISERS, RATES, STEPS, TIMESCALES, initial_weight
from star_core.structures import Start
from tests.livs.layers import PLACES, layer_of


def test_every_weight_of_every_class_has_an_initialisation():
    layers = map(layer_of, PLACES)
    starts = {weight.start for layer in layers for part in (layer, *layer.groups) for weight in part.weights}
    assert starts == set(Start) - {Start.ZEROS}
    assert set(INITIALISERS) == set(Start)


def test_projections_keep_the_variance_and_outputs_shrink_with_depth(generator):
    for start, depth, expected in (
        (Start.FAN_IN, 8, 1 / 16),
        (Start.OUTPUT, 8, 1 / 64),
        (Start.OUTPUT, 2, 1 / 32),
    ):
        weight = initial_weight(start, (512, 256), depth, generator)
        assert weight.std().item() == pytest.approx(expected, rel=0.02)


def test_a_recurrence_starts_with_steps_and_rates_in_their_range(generator):
    step = torch.nn.functional.softplus(initial_weight(Start.STEP_BIAS, (4096,), 1, generator))
    rate = initial_weight(Start.LOG_RATE, (4096,), 1, generator).exp()
    for values, (low, high) in ((step, STEPS), (rate, RATES)):
        assert low * 0.999 <= values.min() < low * 1.1
        assert high * 0.9 < values.max() <= high * 1.001


def test_an_implicit_filter_starts_with_energy_one_and_all_timescales(generator):
    shape = (4096, 8)
    decay = torch.nn.functional.softplus(initial_weight(Start.MODE_DECAY, shape, 1, generator))
    torch.testing.assert_close(1 / decay[0, [0, -1]], torch.tensor(TIMESCALES))
    frequency = initial_weight(Start.FREQUENCY, shape, 1, generator)
    assert 0 <= frequency.min() < 0.01
    assert 3.1 < frequency.max() <= math.pi
    residues = [initial_weight(Start.RESIDUE, shape, 1, generator) for _ in range(2)]
    energy = sum((residue.square() / (1 - torch.exp(-2 * decay))).mean(0) for residue in residues) / 2
    torch.testing.assert_close(energy, torch.full((8,), 1 / 8), rtol=0.1, atol=0)
