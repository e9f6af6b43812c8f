"""A cheap predictor of trained objectives: ridge regression on what can be counted in a spec.

It learns from tens of candidates, so its features are few: how much of each structure there is, where,
what stands next to what, what is shared, and the logarithms of sizes. Targets are logarithms of objectives,
or, of those that were not always positive, values as parts of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from star_core.architecture import Architecture, Layer
from star_core.structures.registered import structure_of
from star_core.vocabulary.tables import Nonlinearity, Sparsity

Array = npt.NDArray[np.float64]
PENALTIES = tuple(float(10**power) for power in np.arange(-2.0, 4.01, 0.5))
PARTS = 3
"""The backbone is looked at in this many parts of equal depth."""
_MOST_EXPONENT = 709.0
"""Of the largest number a float can be, about."""


def features(architecture: Architecture, context: int, structures: Sequence[int]) -> Array:
    """What the predictor knows of an architecture, as one vector.

    Args:
        architecture: The spec.
        context: Tokens of a training sequence.
        structures: Token-mixing alleles of the search space.
    """
    layers, depth = architecture.layers, len(architecture.layers)
    kinds = [structures.index(layer.liv_class.operator.token_mixing) for layer in layers]
    number = len(structures)
    by_part, neighbours = np.zeros((PARTS, number)), np.zeros((number, number))
    for index, kind in enumerate(kinds):
        by_part[index * PARTS // depth, kind] += 1
    for first, second in pairwise(kinds):
        neighbours[first, second] += 1
    details = np.sum([_details(layer) for layer in layers], axis=0, dtype=float)
    reused = sum(group.computed_by != layer.index for layer in layers for group in layer.groups)
    tied = sum(group.weights_of not in (None, layer.index) for layer in layers for group in layer.groups)
    double = sum(layer.branches == 2 for layer in layers)
    stateless = sum(not layer.states for layer in layers)
    sizes = [
        math.log(architecture.num_parameters),
        math.log(architecture.flops_per_token(context)),
        math.log1p(architecture.cache_bytes(context)),
    ]
    counts = np.concatenate([by_part.ravel(), neighbours.ravel(), details, [reused, tied, double, stateless]])
    return np.concatenate([counts / depth, sizes])


def _details(layer: Layer) -> list[bool]:
    """Whether it is banded, scores without softmax, remembers little, and has grouped queries."""
    operator, groups = layer.liv_class.operator, {group.role: group.genome for group in layer.groups}
    return [
        operator.sparsity is Sparsity.BANDED,
        operator.nonlinearity in (Nonlinearity.RELU, Nonlinearity.SWISH),
        structure_of(operator.token_mixing).is_short(operator, groups),
        any(genome.repeat > 1 for genome in groups.values()),
    ]


@dataclass(frozen=True)
class Predictor:
    """A fitted ridge regression of one objective.

    Attributes:
        center, scale: Of each feature among the candidates it learned from.
        weights: Per standardised feature.
        offset: Mean target.
        penalty: Chosen by leaving one candidate out at a time.
        held_out: Prediction (of the target) of each candidate by a regression that did not see it.
        unit: Of the targets: the largest absolute value; ``None``: they are logarithms.
    """

    center: Array
    scale: Array
    weights: Array
    offset: float
    penalty: float
    held_out: Array
    unit: float | None = None

    def predict(self, rows: Array) -> Array:
        """Expected objectives of candidates by their features (candidates × features); finite."""
        targets = (rows - self.center) / self.scale @ self.weights + self.offset
        if self.unit is None:
            return np.exp(np.minimum(targets, _MOST_EXPONENT))
        with np.errstate(over="ignore"):
            return np.nan_to_num(targets * self.unit)


def fit(rows: Array, values: Sequence[float]) -> Predictor:
    """Fits the regression whose predictions of left-out candidates have the least squared error.

    Args:
        rows: Features (candidates × features), at least two candidates.
        values: The objective of each, finite.
    """
    targets, unit = np.asarray(values, dtype=float), None
    if (targets > 0).all():
        targets = np.log(targets)
    else:
        unit = float(abs(targets).max()) or 1.0
        targets = targets / unit
    center, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    X, offset = (rows - center) / scale, float(targets.mean())
    left, singular, right = np.linalg.svd(X, full_matrices=False)
    projected = left.T @ (targets - offset)
    best: Predictor | None = None
    least = math.inf
    for penalty in PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        fitted = left @ (shrink * projected)
        # The mean is fitted too: it has a leverage of 1 / n.
        leverage = (left**2) @ shrink + 1 / len(targets)
        residuals = (targets - offset - fitted) / np.maximum(1 - leverage, 1e-6)
        error = float(residuals @ residuals)
        if error < least:
            least = error
            weights = right.T @ (singular / (singular**2 + penalty) * projected)
            best = Predictor(center, scale, weights, offset, penalty, targets - residuals, unit)
    assert best is not None
    return best
