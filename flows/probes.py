"""What an experiment's objectives want measured of candidates besides their training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from star_core.evaluation import Evaluation, Job
from star_core.objectives.base import probes

from .candidates.batch import train_all
from .run.session import Session

Probed = Mapping[str, tuple[Evaluation, ...]]
"""Name of a candidate → what its probes measured."""


def probe_all(session: Session, jobs: Mapping[str, Job]) -> Probed:
    """Probes the candidates that ``jobs`` would train, before anything of theirs is trained.

    Probes that depend on the very machine run one at a time while nothing else of this run does.

    Raises:
        BudgetSpent, StarError: As ``train_all``.
    """
    params = session.params
    found: dict[str, tuple[Evaluation, ...]] = dict.fromkeys(jobs, ())
    for probe in probes(params.objectives):
        wanted = {name: probe.job(job, params, session.data.vocab_size) for name, job in jobs.items()}
        measured = train_all(session, wanted, at_once=1 if probe.alone else None)
        found = {name: (*found[name], evaluation) for name, evaluation in measured.items()}
    return {name: found[name] for name in jobs}


def joined(trained: Mapping[str, Evaluation], probed: Probed) -> dict[str, Evaluation]:
    """Trainings with the metrics of the probes; one whose probe failed counts as failed in that way."""
    return {name: _joined(evaluation, probed[name]) for name, evaluation in trained.items()}


def _joined(training: Evaluation, measurements: tuple[Evaluation, ...]) -> Evaluation:
    for evaluation in (training, *measurements):
        if evaluation.status != "ok":
            return replace(
                training,
                status=evaluation.status,
                metrics={},
                detail=evaluation.detail,
                limits=evaluation.limits,
            )
    metrics = dict(training.metrics)
    for evaluation in measurements:
        metrics |= evaluation.metrics
    return replace(training, metrics=metrics)
