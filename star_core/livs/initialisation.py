"""How each weight of the compiled spec starts, as it declares, from one generator.

Every operator maps unit-variance input to output of order one, so that no LIV class starts with an
advantage that is only a matter of scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from star_core.structures.shapes import Start

STEPS = (1e-3, 1e-1)
"""Range of a recurrence's initial step sizes δ (arXiv 2405.21060)."""
RATES = (1.0, 16.0)
"""Range of a recurrence's initial rates ρ; with δ, memories of 0.6 to 1000 tokens."""
TIMESCALES = (2.0, 512.0)
"""Range of the memory of an implicit filter's modes, in tokens."""
DIFFERENCE = 0.5
"""Initial λ of a differential LIV."""

Initialiser = Callable[[tuple[int, ...], int, torch.Generator], torch.Tensor]


def initial_weight(
    start: Start, shape: tuple[int, ...], depth: int, generator: torch.Generator
) -> torch.Tensor:
    """The start of one weight, float32 on the CPU, whatever device and precision it then moves to.

    Args:
        start: As in the compiled spec.
        shape: As in the compiled spec.
        depth: LIVs of the backbone; output projections shrink with its root.
        generator: Source of all randomness.
    """
    return INITIALISERS[start](shape, depth, generator)


def _ones(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    return torch.ones(shape)


def _zeros(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    return torch.zeros(shape)


def _difference(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    return torch.full(shape, DIFFERENCE)


def _fan_in(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Keeps the variance: the last axis is summed over, be it channels or the taps of a filter."""
    return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])


def _taps(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Keeps the variance: the last two axes, channels read and taps, are summed over."""
    return torch.randn(shape, generator=generator) / math.sqrt(shape[-1] * shape[-2])


def _output(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """So small that the sum over all layers keeps the variance of the residual stream (GPT-2)."""
    return _fan_in(shape, depth, generator) / math.sqrt(2 * depth)


def _signs(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Random signs: keeps the variance of every channel, and tells one group of features from another."""
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1


def _output_signs(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """As ``_output``: the first axis is summed over."""
    return _signs(shape, depth, generator) / math.sqrt(2 * depth * shape[0])


def _step_bias(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """softplus(bias) is log-uniform in ``STEPS``."""
    low, high = map(math.log, STEPS)
    step = torch.exp(low + (high - low) * torch.rand(shape, generator=generator))
    return step + torch.log(-torch.expm1(-step))


def _log_rate(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    low, high = RATES
    return torch.log(low + (high - low) * torch.rand(shape, generator=generator))


def _timescales(modes: int) -> torch.Tensor:
    low, high = map(math.log, TIMESCALES)
    return (
        torch.exp(torch.linspace(low, high, modes))
        if modes > 1
        else torch.tensor([math.exp((low + high) / 2)])
    )


def _residue(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Each mode adds 1/M to the energy Σ_t K_t² of a filter: |c|² = 2 (1 - e^(-2/τ)) / M."""
    energy = -torch.expm1(-2 / _timescales(shape[-1])) / shape[-1]
    return torch.randn(shape, generator=generator) * energy.sqrt()


def _mode_decay(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """softplus(decay) = 1/τ."""
    return torch.log(torch.expm1(1 / _timescales(shape[-1]))).expand(shape).clone()


def _frequency(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Up to the highest frequency there is, but at most four turns within the timescale of the mode."""
    highest = (8 * math.pi / _timescales(shape[-1])).clamp(max=math.pi)
    return torch.rand(shape, generator=generator) * highest


INITIALISERS: Mapping[Start, Initialiser] = {
    Start.ONES: _ones,
    Start.ZEROS: _zeros,
    Start.FAN_IN: _fan_in,
    Start.TAPS: _taps,
    Start.OUTPUT: _output,
    Start.SIGNS: _signs,
    Start.OUTPUT_SIGNS: _output_signs,
    Start.DIFFERENCE: _difference,
    Start.STEP_BIAS: _step_bias,
    Start.LOG_RATE: _log_rate,
    Start.RESIDUE: _residue,
    Start.MODE_DECAY: _mode_decay,
    Start.FREQUENCY: _frequency,
}
