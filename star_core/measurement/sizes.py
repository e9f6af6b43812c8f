"""Bytes that a model reads, in the precision that its matrices are stored in."""

from __future__ import annotations

from star_core.architecture import Architecture
from star_core.objectives.stored import stored_bytes


def weight_bytes(architecture: Architecture, precision: str) -> int:
    """Of all weights."""
    return sum(stored_bytes(architecture, precision).values())


def read_bytes(architecture: Architecture, precision: str, context: int) -> int:
    """Of weights and cache, for one token behind a context."""
    return weight_bytes(architecture, precision) + architecture.cache_bytes(context)
