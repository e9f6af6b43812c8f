"""AGE-MOEA (Panichella 2019, GECCO): survival that fits itself to the shape of the front.

The front is normalised and its curvature estimated as the p of the Lp unit sphere it resembles; then a
member is worth its distance to its two nearest kept neighbours over its distance to the ideal point, both
in that norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.core.survival import Survival
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from star_core.evolution.base import Problem, register
from star_core.evolution.operators import Recombination
from star_core.evolution.survival import survive_by
from star_core.population.individual import Individual

Array = npt.NDArray[np.float64]

FLAT = 1.0
"""p of a plane; also where the shape cannot be told."""

CURVED = (0.1, 20.0)
"""Range of p: beyond it, powers under- or overflow."""

NEAR = 1e-8
"""Distances below count as this, so that equal members divide by something."""


class AGEMOEA(Recombination):
    """Adaptive geometry estimation. Parents are chosen as in NSGA-II.

    Written out here because pymoo's needs numba and compiles its sums with reordering allowed.
    """

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The best by front; of the last front, the most valuable to the front's shape."""
        return survive_by(problem, candidates, index, GeometrySurvival())


class GeometrySurvival(Survival):  # type: ignore[misc]
    """Fronts in order, the last one by survival score."""

    def __init__(self) -> None:
        super().__init__(filter_infeasible=True)

    def _do(self, problem: Any, pop: Any, *_: Any, n_survive: int = 0, **__: Any) -> Any:
        values = pop.get("F").astype(float)
        fronts = NonDominatedSorting().do(values, n_stop_if_ranked=n_survive)
        shape = geometry(values[fronts[0]])
        last = (values[fronts[-1]] - shape.ideal) / shape.scale
        if len(fronts) == 1:
            scores = survival_scores(last, shape)
        else:
            scores = 1 / np.maximum(norm(last, shape.power), NEAR)
        before = [member for front in fronts[:-1] for member in front]
        order = np.argsort(-scores, kind="stable")
        return pop[[*before, *fronts[-1][order[: n_survive - len(before)]]]]


@dataclass(frozen=True)
class Geometry:
    """What a first front looks like.

    Attributes:
        ideal: The best value of each objective.
        scale: Range of each objective: where the plane through the extremes cuts the axes.
        corners: The extreme members.
        power: p of the Lp norm whose unit sphere the normalised front resembles.
    """

    ideal: Array
    scale: Array
    corners: tuple[int, ...]
    power: float


def geometry(front: Array) -> Geometry:
    """The geometry of a first front (members × objectives)."""
    ideal = front.min(axis=0)
    moved = front - ideal
    corners = extremes(moved)
    scale = _intercepts(moved[corners])
    scale = moved.max(axis=0) if scale is None else scale
    scale = np.where(scale > 0, scale, 1.0)
    return Geometry(ideal, scale, tuple(corners), _curvature(moved / scale, corners))


def extremes(front: Array) -> list[int]:
    """Per objective the member nearest to its axis, no member twice; all members of a small front."""
    size, objectives = front.shape
    if size <= objectives:
        return list(range(size))
    chosen: list[int] = []
    for axis in range(objectives):
        distance = _to_line(front, np.eye(objectives)[axis])
        distance[chosen] = np.inf
        chosen.append(int(np.argmin(distance)))
    return chosen


def survival_scores(front: Array, shape: Geometry) -> Array:
    """Worth of each member of a normalised first front: extremes first, then the most apart for its depth."""
    size = len(front)
    kept = list(shape.corners)
    scores = np.full(size, np.inf)
    proximity = np.maximum(norm(front, shape.power), NEAR)
    apart = np.maximum(norm(front[:, None] - front[None], shape.power), NEAR) / proximity[:, None]
    rest = [member for member in range(size) if member not in kept]
    while rest:
        nearest = np.sort(apart[np.ix_(rest, kept)], axis=1)[:, :2].sum(axis=1)
        best = int(np.argmax(nearest))
        scores[rest[best]] = nearest[best]
        kept.append(rest.pop(best))
    return scores


def norm(points: Array, power: float) -> Array:
    """The Lp norm over the last axis."""
    return np.asarray((np.abs(points) ** power).sum(axis=-1) ** (1 / power))


def _intercepts(corners: Array) -> Array | None:
    """Where the hyperplane through the extremes cuts the axes; ``None`` if there is no such plane."""
    if corners.shape[0] != corners.shape[1]:
        return None
    try:
        plane = np.linalg.solve(corners, np.ones(len(corners)))
    except np.linalg.LinAlgError:
        return None
    return 1 / plane if np.isfinite(plane).all() and (plane > 0).all() else None


def _curvature(front: Array, corners: Sequence[int]) -> float:
    """The p with which the member nearest to the diagonal is on the unit sphere of Lp."""
    objectives = front.shape[1]
    distance = _to_line(front, np.ones(objectives))
    distance[list(corners)] = np.inf
    middle = float(front[int(np.argmin(distance))].mean())
    if objectives == 1 or not 0 < middle < 1 or np.isinf(distance).all():
        return FLAT
    power = float(np.log(objectives) / -np.log(middle))
    return FLAT if power <= CURVED[0] else min(power, CURVED[1])


def _to_line(points: Array, direction: Array) -> Array:
    """Distance of points to the line through the origin."""
    along = points @ direction / (direction @ direction)
    return np.asarray(((points - along[:, None] * direction) ** 2).sum(axis=1))


register("age_moea", AGEMOEA())
