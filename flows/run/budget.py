"""What a run may cost: no candidate is begun that the budget has no room for; what is begun is finished.

*Tokens* are those of everything that ``star evolve`` trains, over all its calls: baselines, founders and
offspring, each architecture once, with the tokens of the recipe however its training ends. So where they
run out depends on nothing but the parameters. Retraining is asked for by itself and has a size of its own.
*Seconds* are those of one call, of any command that trains. However few, they are enough to begin one
candidate: a call whose start alone takes longer would never come further, nor would the ones after it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Literal

from star_core.config import Budget, Params, Training
from star_core.errors import ConfigError, StarError
from star_core.evaluation import Job
from star_core.population.comparison import stored_baselines
from star_core.population.generation import stored_generations

Limit = Literal["tokens", "seconds"]
Clock = Callable[[], float]


class BudgetSpent(StarError):  # noqa: N818
    """Candidates are left that the budget has no room for.

    ``star evolve`` ends normally then; a command that makes one thing, and could not, has failed.

    Attributes:
        limit: Which limit.
        left: Candidates of this generation, or comparison, that were not begun.
    """

    def __init__(self, limit: Limit, amount: float, left: int) -> None:
        self.limit, self.left = limit, left
        super().__init__(
            f"the budget is spent, {left} of the candidates are not begun; what was trained is kept",
            value=amount,
            place=f"budget.{limit}",
            fix="raise it" if limit == "tokens" else "run the command again, which grants as much once more",
        )


class Account:
    """What was spent, and what candidates in training will have cost.

    Args:
        budget: The limits.
        recipe: The run's recipe; trainings by another recipe (retraining) take no tokens from the budget.
        counted: Evaluation key → tokens trained up to it, for what the run has trained before.
        elapsed: Seconds since the command began.

    Attributes:
        tokens: Tokens trained in the run.
        ended: How the budget ended the command, once it has.
    """

    def __init__(self, budget: Budget, recipe: Training, counted: Mapping[str, int], elapsed: Clock) -> None:
        self.budget, self._recipe, self._elapsed = budget, recipe, elapsed
        self.ended: BudgetSpent | None = None
        self._reached = dict(counted)
        self._began = False
        self.tokens = sum(counted.values())

    @property
    def seconds(self) -> float:
        """Wall time since the command began."""
        return self._elapsed()

    def spent(self, job: Job) -> Limit | None:
        """The limit that leaves no room for ``job``, or ``None``."""
        limit = self.budget.seconds
        if limit is not None and self.seconds >= limit and (self._began or not limit):
            return "seconds"
        cost = self._cost(job)
        if self.budget.tokens is None or not cost or self.tokens + cost <= self.budget.tokens:
            return None
        return "tokens"

    def _cost(self, job: Job) -> int:
        """Tokens of a training, of its part that is new; none if they are counted already."""
        if job.key in self._reached or job.training != self._recipe:
            return 0
        return job.tokens - self._reached.get(job.resume or "", 0)

    def begin(self, job: Job) -> None:
        """A candidate begins."""
        self._began = True
        self.count(job)

    def count(self, job: Job) -> None:
        """A candidate is begun, or found stored."""
        self.tokens += self._cost(job)
        if job.training == self._recipe:
            self._reached[job.key] = job.tokens

    def put_off(self, job: Job) -> None:
        """A candidate that began turned out to be in training elsewhere."""
        self._reached.pop(job.key, None)
        self.tokens -= self._cost(job)

    def require(self, left: Collection[Job]) -> None:
        """Raises ``BudgetSpent`` if candidates are left."""
        for job in left:
            limit = self.spent(job) or "seconds"
            amount = self.budget.tokens if limit == "tokens" else self.budget.seconds
            self.ended = BudgetSpent(limit, amount or 0, len(left))
            raise self.ended


def trained_before(run: str, data: Path, params: Params) -> dict[str, int]:
    """Key → tokens of what a run's stored generations and baselines have cost."""
    entries = [individual for made in stored_generations(run, data) for individual in made.born]
    counted = {entry.key: entry.cost.tokens for entry in entries if entry.cost.tokens}
    baselines = stored_baselines(run, data, params.identity())
    return (
        counted | {baseline.key: baseline.cost.tokens for baseline in baselines.entries}
        if baselines
        else counted
    )


def limited(budget: Budget, tokens: int | None, seconds: float | None) -> Budget:
    """The budget with the limits that the command line states in place of the parameter file's.

    Raises:
        ConfigError: The seconds are not a number of seconds.
    """
    if seconds is not None and not math.isfinite(seconds):
        raise ConfigError(
            "a finite number of seconds", value=seconds, place="--max-seconds", fix="leave it out"
        )
    stated = {"tokens": tokens, "seconds": seconds}
    return budget.model_copy(update={name: value for name, value in stated.items() if value is not None})


def stopwatch() -> Clock:
    """Seconds since this was called, by a clock that nobody sets."""
    started = time.monotonic()
    return lambda: time.monotonic() - started
