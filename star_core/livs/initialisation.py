"""How each weight of the compiled spec starts, by its name, from one generator.

Every operator maps unit-variance input to output of order one, so that no LIV class starts with an
advantage that is only a matter of scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch

from star_core.errors import ConfigError, nearest

STEPS = (1e-3, 1e-1)
"""Range of a recurrence's initial step sizes δ (arXiv 2405.21060)."""
RATES = (1.0, 16.0)
"""Range of a recurrence's initial rates ρ; with δ, memories of 0.6 to 1000 tokens."""
TIMESCALES = (2.0, 512.0)
"""Range of the memory of an implicit filter's modes, in tokens."""
DIFFERENCE = 0.5
"""Initial λ of a differential LIV."""

Initialiser = Callable[[tuple[int, ...], int, torch.Generator], torch.Tensor]


def initial_weight(name: str, shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """The start of one weight, float32 on the CPU, whatever device and precision it then moves to.

    Args:
        name: As in the compiled spec.
        shape: As in the compiled spec.
        depth: LIVs of the backbone; output projections shrink with its root.
        generator: Source of all randomness.

    Raises:
        ConfigError: No weight of this name is known.
    """
    if name not in INITIALISERS:
        raise ConfigError(
            "no initialisation is known for this weight",
            value=name,
            place="weight",
            fix=nearest(name, INITIALISERS),
        )
    return INITIALISERS[name](shape, depth, generator)


def _ones(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    return torch.ones(shape)


def _difference(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    return torch.full(shape, DIFFERENCE)


def _fan_in(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Keeps the variance: the last axis is summed over, be it channels or the taps of a filter."""
    return torch.randn(shape, generator=generator) / math.sqrt(shape[-1])


def _filter(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Keeps the variance: the last two axes, channels read and taps, are summed over."""
    return torch.randn(shape, generator=generator) / math.sqrt(shape[-1] * shape[-2])


def _output(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """So small that the sum over all layers keeps the variance of the residual stream (GPT-2)."""
    return _fan_in(shape, depth, generator) / math.sqrt(2 * depth)


def _scale(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Random signs: keeps the variance of every channel, and tells one group of features from another."""
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1


def _output_scale(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """As ``_output``: the first axis is summed over."""
    return _scale(shape, depth, generator) / math.sqrt(2 * depth * shape[0])


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


def _decay(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """softplus(decay) = 1/τ."""
    return torch.log(torch.expm1(1 / _timescales(shape[-1]))).expand(shape).clone()


def _frequency(shape: tuple[int, ...], depth: int, generator: torch.Generator) -> torch.Tensor:
    """Up to the highest frequency there is, but at most four turns within the timescale of the mode."""
    highest = (8 * math.pi / _timescales(shape[-1])).clamp(max=math.pi)
    return torch.rand(shape, generator=generator) * highest


INITIALISERS: Mapping[str, Initialiser] = {
    "norm": _ones,
    "output": _output,
    "output_scale": _output_scale,
    "difference": _difference,
    "projection": _fan_in,
    "scale": _scale,
    "short_filter": _fan_in,
    "filter": _filter,
    "step_bias": _step_bias,
    "log_rate": _log_rate,
    "real": _residue,
    "imaginary": _residue,
    "decay": _decay,
    "frequency": _frequency,
}
