"""Training on this machine: candidate processes, the store of their evaluations, and who trains what.

The flow's own process has one, and so has every worker process of a cluster.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

from star_core.config import Runtime
from star_core.evaluation import Evaluation, Job, is_final
from star_core.storage.checkpoints import CheckpointStore
from star_core.storage.evaluations import EvaluationStore
from star_core.storage.leases.leases import Leases
from star_core.storage.weights import checkpoint_key
from star_core.training.processes.pool import PRELOAD, CandidatePool, NotStored


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate's evaluation, and whether it was there already."""

    evaluation: Evaluation
    cached: bool


class Trainer:
    """Trains jobs in processes of this machine, none twice.

    Args:
        runtime: Limits, storage and patience.
        workers: Candidates at once.
        threads: CPU threads of each.
        note: Told, in one line, what is being waited for.
    """

    def __init__(
        self, runtime: Runtime, workers: int, threads: int, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self.runtime, self.workers, self._threads, self._note = runtime, workers, threads, note
        self._opening = threading.Lock()
        self._pool: CandidatePool | None = None

    @cached_property
    def store(self) -> EvaluationStore:
        """Finished evaluations; waits for storage that is away."""
        return EvaluationStore(
            self.runtime.storage, self.runtime.endpoint, self.runtime.patience_seconds, self._note
        )

    @cached_property
    def leases(self) -> Leases:
        """Which candidates are being trained, here or on other machines that share the storage."""
        runtime = self.runtime
        return Leases(
            runtime.storage, runtime.endpoint, runtime.lease_seconds, runtime.patience_seconds, self._note
        )

    @cached_property
    def checkpoints(self) -> CheckpointStore:
        """Weights that machines exchange; none where the storage is a folder."""
        runtime = self.runtime
        return CheckpointStore(runtime.storage, runtime.endpoint, runtime.patience_seconds, self._note)

    @property
    def pool(self) -> CandidatePool:
        """Candidate processes; the first thread that asks makes them."""
        with self._opening:
            if self._pool is None:
                runtime = self.runtime
                # Half a second of imports for each candidate, unless they are inherited.
                s3 = ("star_core.storage.s3",) if runtime.storage.startswith("s3") else ()
                modules = (*PRELOAD, *s3)
                self._pool = CandidatePool(
                    self.workers, runtime.deadline_seconds, runtime.memory_mib, self._threads, modules
                )
            return self._pool

    def stored(self, job: Job) -> Evaluation | None:
        """The evaluation of a job that need not be trained; ``None`` if it must be.

        One that is malformed, or another architecture's, is moved aside and trained again.

        Raises:
            StoreError: The store cannot be read.
        """
        found = self.store.find(job.key, job.digest)
        if found is None or not is_final(found, self.runtime):
            return None
        return found if self._has_weights(job, found) else None

    def is_busy(self, job: Job) -> bool:
        """Whether the candidate is being trained, as far as its lease tells."""
        return not self.leases.is_free(job.key)

    def train(self, job: Job, on_start: Callable[[int], None] | None = None) -> Trained | None:
        """Trains a candidate, unless the store has it; ``None`` if it is in training elsewhere.

        Raises:
            StarError: The job is wrong, or the storage stays away.
        """
        trained = self._train(job, on_start)
        if trained is not None and job.checkpoint is not None and trained.evaluation.status == "ok":
            self.checkpoints.put(Path(job.checkpoint), job.key)
        return trained

    def _train(self, job: Job, on_start: Callable[[int], None] | None) -> Trained | None:
        if (found := self.stored(job)) is not None:
            return Trained(found, cached=True)
        lease = self.leases.take(job.key)
        if lease is None:
            return None
        with lease:
            if (found := self.stored(job)) is not None:  # finished between the two questions
                return Trained(found, cached=True)
            try:
                return Trained(self.pool.run(job, self._telling(job, on_start)), cached=False)
            except NotStored as error:
                self._note(f"a candidate is trained but cannot be stored; waiting. {error}")
                if (found := self.stored(job)) is None:  # its process may have stored it and died
                    self.store.put(error.evaluation)
                return Trained(found or error.evaluation, cached=False)

    def _telling(self, job: Job, on_start: Callable[[int], None] | None) -> Callable[[int], None]:
        """``on_start``, which also says when a candidate is not begun for the first time."""
        attempts = count()

        def begun(pid: int) -> None:
            if next(attempts):
                self._note(f"{job.genome}: its process was killed; it is begun again")
            if on_start is not None:
                on_start(pid)

        return begun

    def _has_weights(self, job: Job, found: Evaluation) -> bool:
        """Whether the weights that the job wants are where it wants them, or could be fetched."""
        if job.checkpoint is None or found.status != "ok":
            return True
        path = Path(job.checkpoint)
        return checkpoint_key(path) == job.key or self.checkpoints.fetch(job.key, path)

    def close(self) -> None:
        """Ends the candidate processes, if any were started."""
        with self._opening:
            pool = self._pool  # kept: whoever still wants it finds it closed
        if pool is not None:
            pool.close()
