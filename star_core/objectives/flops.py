"""Floating-point operations a token, from the spec: reading a prompt, and writing behind a context."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, register
from star_core.structures.registered import structure_of


def prefill_flops(architecture: Architecture, length: int) -> float:
    """Mean over the tokens of a prompt, each of which reads itself and those before it.

    What a token costs is linear in what it reads, up to the width of a band, say, and linear again beyond, so
    the ends of the pieces are enough.
    """
    mixing = {layer.liv_class.operator.token_mixing for layer in architecture.layers}
    bends = {bend for allele in mixing for bend in structure_of(allele).bends if bend < length}
    ends = sorted({0, *bends, length})
    return sum(_sum(architecture, before + 1, end) for before, end in pairwise(ends)) / length


def _sum(architecture: Architecture, first: int, last: int) -> float:
    ends = architecture.flops_per_token(first) + architecture.flops_per_token(last)
    return (last - first + 1) * ends / 2


def prefill(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Per token of a prompt of ``prompt_length``."""
    return prefill_flops(architecture, section.prompt_length)


def decode(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Of one token that reads ``cache_length`` tokens."""
    return float(architecture.flops_per_token(section.cache_length))


PREFILL_FLOPS = register(
    Objective(
        "prefill_flops",
        "prefill FLOPs",
        "FLOP",
        False,
        prefill,
        least=lambda spec, section: prefill(spec, {}, section),
    )
)
DECODE_FLOPS = register(
    Objective(
        "decode_flops",
        "decode FLOPs",
        "FLOP",
        False,
        decode,
        least=lambda spec, section: decode(spec, {}, section),
    )
)
