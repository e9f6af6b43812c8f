"""What an objective needs measured beyond training, and the job that measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from star_core import semantics
from star_core.config import Params, digest_json
from star_core.errors import StarError
from star_core.evaluation import Job
from star_core.machine import fingerprint, machine_fingerprint

SPREAD = "_spread"
"""Behind the name of a metric: the relative standard deviation of its repeats."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A measurement of a candidate in a process of its own. Objectives that name one probe share its result.

    Attributes:
        target: ``module:function`` from a ``Job`` to an ``Evaluation``, loaded by the process that runs it.
            Its metrics join those of the training; it trains on no token of the corpus (``tokens`` is 0).
        settings: ``(params, vocabulary size)`` → JSON values that the result depends on, besides the
            architecture and the machine; the target finds them in ``job.settings``.
        alone: Whether nothing else should run on the machine meanwhile, because what is measured depends on
            the very machine: its result is then used on no other.
        name: Under which its results are stored; it has to stay when ``target`` moves, or what was measured
            is not found again. ``None``: the target.
    """

    target: str
    settings: Callable[[Params, int], Mapping[str, Any]]
    alone: bool
    name: str | None = None

    def job(self, training: Job, params: Params, vocab_size: int) -> Job:
        """The job that measures the candidate which ``training`` would train.

        Its key says what the result depends on, so that nothing is measured twice, and nothing that was
        measured on another machine or under other conditions is used.
        """
        settings, recipe = dict(self.settings(params, vocab_size)), params.training
        machine = fingerprint(recipe.accelerator, recipe.threads)
        content = {
            "probe": self.name or self.target,
            "settings": settings,
            "architecture": training.digest,
            "semantics": semantics.MODEL,
            "machine": machine if self.alone else machine_fingerprint(recipe.accelerator),
        }
        return replace(
            training,
            key=digest_json(content),
            checkpoint=None,
            # No token of the run's budget.
            stop=0,
            states=None,
            resume=None,
            probe=self.target,
            settings=settings,
        )


def probed(metrics: Mapping[str, float], name: str) -> float:
    """A metric that a probe has measured.

    Raises:
        StarError: The probe has not run for this candidate.
    """
    if name not in metrics:
        raise StarError(
            "this is measured by a probe, which has not run for the candidate",
            value=name,
            place="objectives",
            fix="evolve with this objective from the first generation on, or leave it out",
        )
    return metrics[name]
