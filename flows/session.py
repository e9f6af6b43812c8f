"""What a process needs while it works on a run: parameters, corpus, store, candidate processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TextIO

from star_core.config import Params, load_params
from star_core.datasets.tokens import TokenData, load_tokens
from star_core.errors import ConfigError, DataError, StoreError
from star_core.evaluation import Evaluation, Job, evaluation_key, is_final
from star_core.evolution.base import Problem
from star_core.genome.space import CLASS_TABLE
from star_core.population.generation import check_run_name, generation_path
from star_core.population.store import EvaluationStore
from star_core.population.weights import checkpoint_key
from star_core.training.devices import default_workers
from star_core.training.worker import CandidatePool


@dataclass(frozen=True)
class Where:
    """Which run: what tasks are told, as plain text.

    Attributes:
        root: Project folder; all paths are below it.
        run: Name of the run.
        params: Parameter file, relative to ``root``.
    """

    root: str
    run: str
    params: str = "params.yaml"

    def path(self, *parts: str) -> Path:
        """A path below the project folder."""
        return Path(self.root, *parts)

    @property
    def data(self) -> Path:
        """The folder of everything DVC tracks."""
        return self.path("data")

    @property
    def tokens(self) -> Path:
        """The prepared corpus of the run."""
        return self.data / "tokens" / check_run_name(self.run)

    @property
    def reports(self) -> Path:
        """Where the run's report is written."""
        return self.data / "reports" / check_run_name(self.run)

    def generation(self, index: int) -> Path:
        """A generation's file."""
        return generation_path(self.run, index, self.data)


class Session:
    """Everything a run needs in this process, made when it is first asked for."""

    def __init__(self, where: Where) -> None:
        check_run_name(where.run)
        self.where = where
        self.params: Params = load_params(where.path(where.params))

    @cached_property
    def data(self) -> TokenData:
        """The prepared corpus.

        Raises:
            DataError: It is missing, malformed, tampered with, prepared by other parameters, or too
                short for one training sequence.
        """
        data = load_tokens(self.where.tokens)
        data.verify()  # once per process: candidates trust the digest
        stated = self.params.data.model_dump(mode="json")
        if data.meta.get("data", stated) != stated:
            raise DataError(
                "the prepared corpus was made by other data parameters",
                value=data.meta["data"],
                place=str(self.where.tokens),
                fix=f"star prepare --run {self.where.run}",
            )
        needed = self.params.training.sequence_length + 1
        for split, tokens in (("train", data.train), ("validation", data.validation)):
            if len(tokens) < needed:
                raise DataError(
                    f"a sequence and its next token are {needed} tokens (training.sequence_length)",
                    value=len(tokens),
                    place=f"{self.where.tokens}, {split}",
                    fix="shorten the sequence, raise data.validation_fraction or add text",
                )
        return data

    @cached_property
    def problem(self) -> Problem:
        """The experiment as the algorithms see it."""
        return Problem(self.params, self.data.vocab_size)

    @property
    def storage(self) -> str:
        """Location of the evaluation store; relative paths start at the project folder."""
        location = self.params.runtime.storage
        return location if "://" in location else str(self.where.path(location))

    @cached_property
    def store(self) -> EvaluationStore:
        """Finished evaluations."""
        return EvaluationStore(self.storage)

    @property
    def workers(self) -> int:
        """Candidates trained at once."""
        return self.params.runtime.workers or default_workers(self.params.training)

    @cached_property
    def pool(self) -> CandidatePool:
        """Candidate processes, shared by all flows of this process."""
        runtime = self.params.runtime
        return CandidatePool(
            self.workers, runtime.deadline_seconds, runtime.memory_mib, self.params.training.threads
        )

    def recipe(self, steps: int | None = None) -> Params:
        """The parameters, with another number of training steps if one is given."""
        if steps is None:
            return self.params
        training = self.params.training.model_copy(update={"steps": steps})
        return self.params.model_copy(update={"training": training})

    def job(self, genome: str, digest: str, steps: int | None = None, checkpoint: str | None = None) -> Job:
        """What a candidate process needs to train ``genome``."""
        params = self.recipe(steps)
        return Job(
            genome=genome,
            space=CLASS_TABLE,
            model=params.model,
            training=params.training,
            data=str(self.where.tokens),
            data_digest=self.data.digest,
            digest=digest,
            key=evaluation_key(digest, params, self.data.digest),
            storage=self.storage,
            checkpoint=checkpoint,
        )

    def stored(self, job: Job) -> Evaluation | None:
        """The evaluation of a job that need not be trained; ``None`` if it must be.

        Raises:
            StoreError: What is stored under its key is another architecture's.
        """
        found = self.store.get(job.key)
        if found is None or not is_final(found, self.params.runtime):
            return None
        if found.digest != job.digest:
            raise StoreError(
                f"this is the evaluation of architecture {job.digest[:12]}…",
                value=found.digest[:12],
                place=self.store.path(job.key),
                fix="delete it; the candidate is then trained again",
            )
        kept = job.checkpoint is None or found.status != "ok"
        return found if kept or checkpoint_key(Path(job.checkpoint or "")) == job.key else None

    def close(self) -> None:
        """Ends the candidate processes, if any were started."""
        if "pool" in self.__dict__:
            self.pool.close()


@lru_cache(maxsize=8)
def session(where: Where) -> Session:
    """The session of a run in this process."""
    return Session(where)


def lock_file(path: Path) -> TextIO:
    """Opens a lock's file, made if missing.

    Raises:
        StoreError: Its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(path),
            fix="work in a folder that can be written to",
        ) from error


@contextmanager
def exclusive(where: Where) -> Iterator[None]:
    """Holds the run for this process; the lock ends with the process, however it ends.

    Raises:
        ConfigError: Another process is working on the run.
    """
    path = where.path(".star", "locks", f"{check_run_name(where.run)}.lock")
    with lock_file(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "?"
            raise ConfigError(
                f"process {owner} is working on this run",
                value=where.run,
                place="run",
                fix="wait for it, or end it first",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
