"""Sizes and shapes that structures speak in: dimensions, weights, states, feature groups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from star_core.vocabulary.featurizer import FeatureGroupGenome

NORM_EPSILON = 1e-5
"""Added to the mean of squares that a norm divides by the root of."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Sizes a LIV class is instantiated at.

    Attributes:
        width: Channels D of the residual stream.
        head_dim: Channels per head; ``width`` is a multiple of it.
    """

    width: int
    head_dim: int

    @property
    def heads(self) -> int:
        """Number of heads H."""
        return self.width // self.head_dim


class Start(Enum):
    """How a weight is initialised; ``star_core/livs/initialisation.py`` draws it."""

    ONES = "ones"
    ZEROS = "zeros"
    FAN_IN = "normal, 1 / √(size of the last axis)"
    TAPS = "normal, 1 / √(size of the last two axes)"
    OUTPUT = "as fan in, and shrinking with the root of the depth"
    SIGNS = "-1 or 1"
    OUTPUT_SIGNS = "as output, with random signs"
    DIFFERENCE = "the λ of a differential LIV"
    STEP_BIAS = "softplus of it is a step size of a recurrence"
    LOG_RATE = "exponential of it is a rate of a recurrence"
    RESIDUE = "amplitude of a mode of an implicit filter"
    MODE_DECAY = "softplus of it is the decay of a mode"
    FREQUENCY = "frequency of a mode"


@dataclass(frozen=True, slots=True)
class Weight:
    """One parameter tensor.

    Attributes:
        name: Name inside the feature group or LIV.
        shape: Its shape.
        start: How it is initialised.
        decayed: Whether weight decay applies to it: to maps between channels. Norms, biases and rates are
            not decayed, nor filters and their time scales: pulled to zero, they would remember less.
    """

    name: str
    shape: tuple[int, ...]
    start: Start
    decayed: bool = False

    @property
    def size(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)

    @property
    def is_dense(self) -> bool:
        """Whether it is a matrix that maps all channels at once: most of what a model consists of."""
        return self.decayed and len(self.shape) == 2


@dataclass(frozen=True, slots=True)
class State:
    """One tensor of the inference cache.

    Attributes:
        name: Name inside the LIV.
        shape: Shape for one sequence (and one token, if ``per_token``).
        per_token: Whether it grows with the number of tokens held.
        roles: Feature groups it is computed from. A LIV that reuses all of them from another one
            reads that one's state and holds none of its own.
        accumulates: Whether it is a sum over many tokens, which needs float32, not some tokens' features.
    """

    name: str
    shape: tuple[int, ...]
    per_token: bool
    roles: frozenset[str]
    accumulates: bool = False

    def elements(self, length: int) -> int:
        """Scalars held for one sequence of ``length`` tokens."""
        return math.prod(self.shape) * (length if self.per_token else 1)


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """Shape of one computed feature group per token: ``heads × channels``.

    For filters: non-zero entries of a matrix over channels × taps.
    """

    heads: int
    channels: int

    @property
    def size(self) -> int:
        """Scalars per token (for filters: in all)."""
        return self.heads * self.channels


Shapes = Mapping[str, FeatureShape]
Groups = Mapping[str, FeatureGroupGenome]
