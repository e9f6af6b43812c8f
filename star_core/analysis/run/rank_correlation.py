"""How well one quantity orders candidates by another: Kendall's τ-b with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from star_core import units

Signs = npt.NDArray[np.float64]

FEWEST = 5
"""Candidates below which a rank correlation says nothing."""
RESAMPLES = 1000
LEVEL = 0.95
SEED = 20
"""Of the resampling, so that a report made again says the same."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Kendall's τ-b between two quantities of the same candidates.

    Attributes:
        candidates: How many there were.
        tau: 1: the same order, 0: unrelated, -1: the opposite; ``None`` with fewer than ``FEWEST`` candidates
            or if all are tied in one of the quantities.
        low, high: Percentile interval of resampled candidates.
    """

    candidates: int
    tau: float | None
    low: float | None
    high: float | None

    @property
    def too_few(self) -> bool:
        """Whether there were too few candidates to say anything."""
        return self.candidates < FEWEST

    @property
    def text(self) -> str:
        """τ and its interval."""
        if self.tau is None or self.low is None or self.high is None:
            return "too few" if self.too_few else "all tied"
        return f"{units.signed(self.tau)} [{units.signed(self.low)}, {units.signed(self.high)}]"


def correlation(first: Sequence[float], second: Sequence[float], fewest: int = FEWEST) -> Correlation:
    """τ-b of two equally long sequences, and the interval that holds 95 % of it in resampled candidates.

    A candidate drawn twice is tied with itself in both quantities. Draws in which everything is tied in one
    of them have no τ and are left out. Of less than ``fewest`` candidates nothing is said.
    """
    count = len(first)
    tau = kendall(first, second) if count >= fewest else None
    if tau is None:
        return Correlation(count, None, None, None)
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    x, y = _signs(first), _signs(second)
    agree, left, right = (_weighed(drawn, signs) for signs in (x * y, x * x, y * y))
    known = (left > 0) & (right > 0)
    resampled = agree[known] / np.sqrt(left[known] * right[known])
    low, high = np.percentile(resampled, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Correlation(count, tau, float(low), float(high))


def kendall(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's τ-b; ``None`` below three pairs or if one sequence is constant."""
    if len(first) < 3:
        return None
    x, y = _signs(first), _signs(second)
    tied = float(np.sum(x * x)) * float(np.sum(y * y))
    return float(np.sum(x * y)) / tied**0.5 if tied else None


def _signs(values: Sequence[float]) -> Signs:
    """Signs of all differences; sums of them are whole numbers, so exact on any machine."""
    known = np.asarray(values, dtype=float)
    return np.asarray(np.sign(known[:, None] - known[None, :]), dtype=float)


def _weighed(drawn: npt.NDArray[np.int64], signs: Signs) -> npt.NDArray[np.float64]:
    """Per resampling the sum over pairs, each as often as it was drawn."""
    weights = drawn.astype(float)
    return np.asarray(((weights @ signs) * weights).sum(axis=1), dtype=float)
