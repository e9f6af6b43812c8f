"""Bytes that a model reads, in the precision that its matrices are stored in."""

from __future__ import annotations

from star_core.architecture import Architecture
from star_core.graphs.quantised import BITS, BLOCK_SIZE


def weight_bytes(architecture: Architecture, weights: str) -> int:
    """Of all weights; quantised ones with a float32 scale for each block."""
    bits = BITS[weights]
    of_one = bits / 8 + 4 / BLOCK_SIZE if bits else 4
    return round(of_one * architecture.num_parameters)


def read_bytes(architecture: Architecture, weights: str, context: int) -> int:
    """Of weights and cache, for one token behind a context."""
    return weight_bytes(architecture, weights) + architecture.cache_bytes(context)
