"""Successive halving inside a generation: the better part of the candidates goes on, from its weights.

Each rung is a number of steps of the same recipe, so candidates are compared where their learning rates
and data are the same. Those that go on are the first by feasibility, non-dominated front and crowding
among the candidates of the rung (arXiv 1603.06560 for one objective; fronts as in NSGA-II).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from star_core.config import Params
from star_core.evolution.base import Problem
from star_core.evolution.survival import ranked
from star_core.population.individual import Individual

ROUND = 10
"""Rungs are at multiples of this many steps: losses are looked at that often."""


def rung_steps(params: Params) -> tuple[int, ...]:
    """Steps at which candidates are compared, rising, each before the last step; empty: never."""
    steps = params.training.steps
    found = {max(ROUND, round(share * steps / ROUND) * ROUND) for share in params.evolution.halving.rungs}
    return tuple(sorted(step for step in found if step < steps))


def promoted(problem: Problem, candidates: Sequence[Individual]) -> list[Individual]:
    """Those of a rung's candidates that go on: a share of all, of those that could be trained."""
    count = max(1, math.ceil(problem.params.evolution.halving.keep * len(candidates)))
    return [candidate for candidate in ranked(problem, candidates) if candidate.ok][:count]
