"""The pointwise alleles of the nonlinearity gene as functions."""

from __future__ import annotations

import torch
from torch.nn import functional

from star_core.vocabulary.tables import Nonlinearity


def nonlinearity(allele: Nonlinearity, x: torch.Tensor) -> torch.Tensor:
    """Applies none, ReLU or swish, elementwise; softmax and norms are not pointwise, and no part of it."""
    if allele is Nonlinearity.RELU:
        return functional.relu(x)
    if allele is Nonlinearity.SWISH:
        return functional.silu(x)
    return x
