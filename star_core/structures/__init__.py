"""Token-mixing structures as shapes: one file each, read by the search half (no torch)."""

from star_core.structures import diagonal, low_rank, semi_separable, toeplitz  # noqa: F401
from star_core.structures.base import (
    Dimensions,
    FeatureShape,
    Sharing,
    State,
    Structure,
    Weight,
    structure_of,
)

__all__ = [
    "Dimensions",
    "FeatureShape",
    "Sharing",
    "State",
    "Structure",
    "Weight",
    "structure_of",
]
