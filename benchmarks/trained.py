"""Evaluations of a search's candidates by really training them, each once and for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from benchmarks.jobs import Candidate, make_jobs, run_jobs
from star_core.config import Params, params_from
from star_core.datasets import prepare
from star_core.evaluation import Evaluation, Job, evaluation_key, is_final
from star_core.evolution.base import Problem
from star_core.genome import Genome
from star_core.genome.space import reading_space
from star_core.population.individual import Offspring
from star_core.storage.evaluations import EvaluationStore
from star_core.training import CandidatePool


class Trained:
    """Trains candidates on the experiment's corpus; what the store knows is not trained again.

    Args:
        sections: The experiment.
        folder: For prepared tokens and finished evaluations.
    """

    def __init__(self, sections: Mapping[str, Mapping[str, object]], folder: Path) -> None:
        params: Params = params_from(dict(sections), "experiment")
        self.data = prepare(params.data, folder / "tokens")
        self.storage, self.states = folder / "evaluations", folder / "states"
        self.limits, self.workers = (
            params.runtime,
            params.workers,
        )
        self.pool = CandidatePool(self.workers, self.limits.deadline_seconds, self.limits.memory_mib)

    def __enter__(self) -> Trained:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.close()

    def train(
        self, problem: Problem, offspring: Sequence[Offspring], stop: int | None, before: int | None
    ) -> list[Evaluation]:
        """Outcomes in the order of ``offspring``, trained until ``stop`` on from ``before``."""
        candidates = [Candidate(child.id, Genome.parse(child.genome), reading_space()) for child in offspring]
        jobs = make_jobs(candidates, problem.params, self.data, self.storage)
        if stop is not None or before is not None:
            jobs = {name: self._part(job, problem.params, stop, before) for name, job in jobs.items()}
        store = EvaluationStore(str(self.storage))
        stored = {name: store.get(job.key) for name, job in jobs.items()}
        known = {
            name: evaluation
            for name, evaluation in stored.items()
            if evaluation is not None and is_final(evaluation, self.limits)
        }
        missing = {name: job for name, job in jobs.items() if name not in known}
        for finished in run_jobs(self.pool, missing, self.workers):
            known[finished.name] = finished.evaluation
        return [known[child.id] for child in offspring]

    def _part(self, job: Job, params: Params, stop: int | None, before: int | None) -> Job:
        def key(step: int | None) -> str:
            return evaluation_key(job.digest, params, job.data_digest, step)

        resume = key(before) if before is not None else None
        return replace(job, key=key(stop), stop=stop, resume=resume, states=str(self.states))
