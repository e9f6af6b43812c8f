"""What is ahead of a run, before it is spent: candidates, tokens, FLOPs, time, and where a budget ends it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from star_core.architecture import Architecture
from star_core.config import Budget, Params, Training
from star_core.evolution.halving import rung_steps
from star_core.planning.pace import Load, Pace
from star_core.structures.feature_groups import Kind

GENERATION_SECONDS = 1.1
"""Seconds of a generation beside its trainings: variation, selection, storing, DVC. Measured on two cores."""
SERVER_SECONDS, START_SECONDS = 12.0, 6.0
"""Seconds before the first training if a Prefect server is started, and if one is at hand; measured too."""
EVALUATION_BYTES, INDIVIDUAL_BYTES, REPORT_BYTES = 4096, 1024, 131_072
"""On disk: a block for each evaluation, and what each individual takes in a generation file."""
_WEIGHT_BYTES = 16
"""Bytes of a parameter in training: itself, its gradient and Adam's two moments, float32."""
_LIVE, _BASE_BYTES = 3.5, 20 << 20
"""Copies of a layer's features that training holds, and what it takes in any case: fitted to the memory
that 16 random genomes of width 64 to 256 took, all within a quarter."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Candidates that are trained together: the baselines, a generation, a retraining.

    Attributes:
        title: Name of the stage, for people.
        candidates: How many belong to it.
        loads: Of each that is still to be trained, in the order of training: the most FLOPs first.
        tokens: Tokens of each.
        known: Whether these very candidates are known already; otherwise their load is the expected one.
        retraining: Whether it belongs to ``star retrain``, which has its own seconds and no token budget.
    """

    title: str
    candidates: int
    loads: tuple[Load, ...]
    tokens: int
    known: bool = True
    retraining: bool = False

    @property
    def left(self) -> int:
        """Candidates to train."""
        return len(self.loads)

    @property
    def stored(self) -> int:
        """Candidates whose evaluation is stored already."""
        return self.candidates - self.left

    @property
    def left_tokens(self) -> int:
        """Tokens to train."""
        return self.left * self.tokens

    @property
    def left_flops(self) -> float:
        """FLOPs to spend."""
        return sum(load.flops for load in self.loads)


@dataclass(frozen=True, slots=True)
class Passage:
    """How a stage is expected to go.

    Attributes:
        stage: The stage.
        begun: Candidates begun before a limit is reached.
        limit: The limit that ends it before its last candidate, if one does.
        seconds: Wall time; ``None`` if no pace is known.
    """

    stage: Stage
    begun: int
    limit: Literal["tokens", "seconds"] | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is ahead of a run.

    Attributes:
        run: Its name.
        last: Index of the generation it is to reach.
        stages: What is not finished, in order.
        pace: How long trainings take; ``None`` if that is not known.
        workers: Candidates trained at once.
        start: Seconds before the first training.
        budget: The limits.
        trained: Tokens that count against the budget so far.
        expected: Training FLOPs of genomes like those to come.
        source: Which genomes ``expected`` is of, in words.
        memory: Bytes that training the largest expected candidate takes.
        checkpoint: Bytes of a retrained candidate's weights.
        probed: Titles of objectives that are measured besides, which no time is counted for.
        over: Of the next generation's candidates, how many are over a limit, and so are not trained.
    """

    run: str
    last: int
    stages: tuple[Stage, ...]
    pace: Pace | None
    workers: int
    start: float
    budget: Budget
    trained: int
    expected: tuple[float, ...]
    source: str
    memory: int
    checkpoint: int
    probed: tuple[str, ...] = ()
    over: int = 0

    def in_range(self) -> tuple[Plan, Plan, Plan]:
        """The plan if trainings are quick, as expected, and slow: between these, eight of ten lay."""
        if self.pace is None:
            return self, self, self
        quick, slow = self.pace.extremes
        return replace(self, pace=quick), self, replace(self, pace=slow)

    def part(self, retraining: bool) -> tuple[Stage, ...]:
        """The stages of ``star evolve``, or of ``star retrain``."""
        return tuple(stage for stage in self.stages if stage.retraining == retraining)

    @property
    def left(self) -> int:
        """Candidates to train in all."""
        return sum(stage.left for stage in self.stages)

    @property
    def disk(self) -> int:
        """Bytes that what is ahead will take, DVC's copy of generations and weights included."""
        evaluations = self.left * EVALUATION_BYTES
        generations = sum(stage.candidates for stage in self.part(retraining=False)) * 2 * INDIVIDUAL_BYTES
        weights = sum(stage.left for stage in self.part(retraining=True)) * self.checkpoint
        return evaluations + 2 * (generations + weights) + (REPORT_BYTES if self.left else 0)

    def passages(self, retraining: bool = False, budget: Budget | None = None) -> Iterator[Passage]:
        """The stages of a command as they are expected to go, up to the one that a limit ends.

        Candidates are begun as workers become free, most FLOPs first, as a run does it; the first whatever
        the seconds, unless there are none.

        Args:
            retraining: Whether the command is ``star retrain`` instead of ``star evolve``.
            budget: The limits; the plan's by default.
        """
        limits = self.budget if budget is None else budget
        clock, tokens, first = self.start, self.trained, bool(limits.seconds)
        for stage in self.part(retraining):
            free, began, begun, limit = [clock] * self.workers, clock, 0, None
            for load in stage.loads:
                limit = _limit(limits, stage, tokens, free[0] if self.pace and not first else None)
                if limit is not None:
                    break
                seconds = self.pace.seconds(load) if self.pace else 0.0
                heapq.heapreplace(free, free[0] + seconds)
                begun, first = begun + 1, False
                tokens += 0 if retraining else stage.tokens
            clock = _end(free, clock, begun) + GENERATION_SECONDS
            yield Passage(stage, begun, limit, clock - began if self.pace else None)
            if limit is not None:
                return

    def seconds(self, retraining: bool = False, budget: Budget | None = None) -> float | None:
        """Wall time of a command, its start included; ``None`` if no pace is known."""
        found = list(self.passages(retraining, budget))
        return None if self.pace is None else self.start + sum(passage.seconds or 0.0 for passage in found)


def _end(free: Sequence[float], began: float, candidates: int) -> float:
    """When the last candidate is done.

    Trainings never take exactly what is expected, so that towards the end workers are idle: half a
    training each, but the last one.
    """
    workers, busy = len(free), sum(free) - began * len(free)
    idle = busy / candidates * (workers - 1) / (2 * workers) if candidates else 0.0
    return max(*free, sum(free) / workers + idle)


def _limit(
    limits: Budget, stage: Stage, tokens: int, clock: float | None
) -> Literal["tokens", "seconds"] | None:
    """The limit that keeps a candidate from being begun; seconds come first, as in a run."""
    if limits.seconds is not None and clock is not None and clock >= limits.seconds:
        return "seconds"
    if stage.retraining or limits.tokens is None or tokens + stage.tokens <= limits.tokens:
        return None
    return "tokens"


def trained_share(params: Params, candidates: int) -> float:
    """Share of a generation's training that is done: less than 1 where candidates are stopped at rungs."""
    steps, going, done = 0, candidates, 0
    for rung in (*rung_steps(params), params.training.steps):
        done, steps = done + going * (rung - steps), rung
        going = max(1, math.ceil(params.evolution.halving.keep * going))
    return done / (candidates * steps)


def training_bytes(architecture: Architecture, training: Training) -> int:
    """Memory that training takes beyond the loaded libraries, about: weights, features and logits.

    Weights count with gradient and Adam's moments. Each token of a batch holds every layer's features,
    what they are mixed to and the residual stream, and float32 logits with their gradient.
    """
    width = architecture.width
    held = 0
    for layer in architecture.layers:
        features = sum(
            group.shape.size
            for group in layer.groups
            if group.computed_by == layer.index and group.kind is not Kind.FILTER
        )
        held += layer.branches * features + 3 * width
    tokens = training.batch_size * training.sequence_length
    per_token = _LIVE * held + 3 * architecture.vocab_size
    return round(_BASE_BYTES + _WEIGHT_BYTES * architecture.num_parameters + 4 * tokens * per_token)
