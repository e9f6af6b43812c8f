"""How long a training takes, from what it trains: fitted to finished trainings.

FLOPs alone say little at the sizes of a search: small models are bound by the number of operations, and a
recurrence has more of them than a convolution. At a given width a LIV of a family takes the same time at
every step, so the model is ``candidate + Σ LIVs of a family · steps · rate of the family + FLOPs · flop``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from star_core.architecture import Architecture
from star_core.config import Training
from star_core.evaluation import Evaluation
from star_core.structures.registered import families, family_of

ENOUGH = 6
"""Finished trainings from which on a store tells the pace."""
_FAR = 10.0
"""Median deviations beyond which a training says nothing about the next: the machine slept, say."""
_RESTLESS = 0.1
"""Share by which the pace of one machine differs from day to day, at least."""
_PRIOR = 4.0
"""LIVs' worth of evidence that a family takes as long as the others: so much is assumed of each."""


@dataclass(frozen=True, slots=True)
class Load:
    """What training a candidate asks of a machine.

    Attributes:
        steps: Optimiser steps.
        flops: Training FLOPs, from the spec.
        livs: LIVs of each family; a differential one is two.
    """

    steps: float
    flops: float
    livs: tuple[float, ...]

    @classmethod
    def of(cls, architecture: Architecture, training: Training) -> Load:
        """The load of training an architecture by a recipe."""
        livs = dict.fromkeys(families(), 0)
        for layer in architecture.layers:
            livs[family_of(layer.liv_class)] += layer.branches
        flops = architecture.training_flops(training.tokens, training.sequence_length)
        return cls(training.steps, flops, tuple(livs.values()))

    def share(self, part: float) -> Load:
        """The load of a part of the training."""
        return replace(self, steps=self.steps * part, flops=self.flops * part)

    @classmethod
    def mean(cls, loads: Sequence[Load]) -> Load:
        """The load that so many candidates have on average."""
        rows = np.array([(load.steps, load.flops, *load.livs) for load in loads], dtype=float)
        steps, flops, *livs = (float(value) for value in rows.mean(axis=0))
        return cls(steps, flops, tuple(livs))


@dataclass(frozen=True, slots=True)
class Timing:
    """A finished training.

    Attributes:
        load: What was trained.
        training: Seconds of the steps.
        beside: Seconds of everything else: set-up and validation.
    """

    load: Load
    training: float
    beside: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How long trainings take on this type of machine.

    Attributes:
        candidate: Seconds of each candidate, whatever its length.
        flop: Seconds of each FLOP.
        rates: Seconds of a LIV of each family at each step, beside its FLOPs.
        spread: Between which multiples of the prediction eight of ten trainings lay.
        throughput: Median FLOPs per second of the measured trainings, all told.
        measured: Number of measured trainings.
        source: Which trainings were measured, in words.
    """

    candidate: float
    flop: float
    rates: tuple[float, ...]
    spread: tuple[float, float]
    throughput: float
    measured: int
    source: str

    @property
    def extremes(self) -> tuple[Pace, Pace]:
        """The paces between which eight of ten trainings lay, at least a tenth off.

        By so much one machine differs from itself.
        """
        low, high = self.spread
        return self._times(min(low, 1 - _RESTLESS)), self._times(max(high, 1 + _RESTLESS))

    def _times(self, factor: float) -> Pace:
        rates = tuple(factor * rate for rate in self.rates)
        return replace(self, candidate=factor * self.candidate, flop=factor * self.flop, rates=rates)

    def seconds(self, load: Load) -> float:
        """Expected wall time of a training."""
        livs = sum(count * rate for count, rate in zip(load.livs, self.rates, strict=True))
        return self.candidate + load.flops * self.flop + load.steps * livs


def timings(evaluations: Iterable[tuple[Evaluation, Load]], machine: Mapping[str, Any]) -> Iterator[Timing]:
    """What the successful trainings among ``evaluations`` took on this type of machine."""
    for evaluation, load in evaluations:
        parts = evaluation.seconds
        if (
            evaluation.status == "ok"
            and evaluation.machine == machine
            and {"training", "total"} <= parts.keys()
        ):
            yield Timing(load, parts["training"], parts["total"] - parts["training"])


def fit(found: Sequence[Timing], source: str) -> Pace | None:
    """The pace that explains finished trainings best; ``None`` without any.

    Least squares, no term negative; trainings that lie far off are left out.
    """
    if not found:
        return None
    typical = [timing.training / (timing.load.steps * sum(timing.load.livs)) for timing in found]
    middle = median(typical)
    far = _FAR * max(median(abs(rate - middle) for rate in typical), 0.1 * middle)
    kept = [timing for timing, rate in zip(found, typical, strict=True) if abs(rate - middle) <= far]
    constant, flop, *rates = terms = _least_squares(kept)
    low, high = np.quantile([timing.training / _predicted(timing, terms) for timing in kept], (0.1, 0.9))
    return Pace(
        candidate=constant + sum(timing.beside for timing in kept) / len(kept),
        flop=flop,
        rates=tuple(rates),
        spread=(float(low), float(high)),
        throughput=median(timing.load.flops / max(timing.training, 1e-9) for timing in kept),
        measured=len(kept),
        source=source,
    )


def _row(load: Load) -> tuple[float, ...]:
    return (1.0, load.flops, *(load.steps * count for count in load.livs))


def _predicted(timing: Timing, terms: Sequence[float]) -> float:
    return max(float(np.dot(_row(timing.load), terms)), 1e-9)


def _least_squares(found: Sequence[Timing]) -> list[float]:
    """Constant, time of a FLOP and rate of each family, none negative.

    Each family's rate is drawn a little to the mean of all, so that one that was hardly measured is not
    free. Trainings of one length say nothing about a constant, and few say nothing about FLOPs beside.
    """
    rows: npt.NDArray[np.float64] = np.array([_row(timing.load) for timing in found])
    seconds = np.array([timing.training for timing in found])
    one_length = len({timing.load.steps for timing in found}) == 1
    few = len({(timing.load.flops, timing.load.livs) for timing in found}) < 2 * rows.shape[1]
    rows[:, 0] *= not one_length
    rows[:, 1] *= not few
    steps = sum(timing.load.steps for timing in found) / len(found)
    mean = float(seconds.sum() / max(rows[:, 2:].sum(), 1.0))
    prior = np.eye(rows.shape[1])[2:] * steps * _PRIOR
    scale = rows.max(axis=0)
    scale[scale == 0] = 1.0
    wanted = np.concatenate([seconds, np.full(len(prior), mean * steps * _PRIOR)])
    terms, _ = nnls(np.concatenate([rows, prior]) / scale, wanted)
    return [float(value) for value in terms / scale]


def calibration_steps(steps: int) -> tuple[int, ...]:
    """Lengths of the trainings that measure a pace: two, so that the first step's cost is told apart."""
    return tuple(sorted({min(2, steps), min(12, steps)}))


def telling(specs: Sequence[Architecture], training: Training) -> list[Architecture]:
    """For each family the architecture with the largest share of it: what to measure to tell them apart."""
    chosen: dict[str, Architecture] = {}
    for family in range(len(families())):

        def share(spec: Architecture, family: int = family) -> float:
            livs = Load.of(spec, training).livs
            return livs[family] / sum(livs)

        best = max(specs, key=share)
        chosen[best.digest] = best
    return list(chosen.values())
