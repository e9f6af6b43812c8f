"""What the flows of one command work with: made once, in the open, and handed down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property

from star_core.config import Budget, Params, stated
from star_core.datasets.tokens import TokenData, load_tokens
from star_core.errors import DataError
from star_core.evaluation import Job, evaluation_key
from star_core.evolution.base import Problem
from star_core.genome.space import CLASS_TABLE
from star_core.population.generation import check_run_name
from star_core.storage.evaluations import EvaluationStore

from ..clusters.engine import Cluster
from .budget import Account, Clock, stopwatch, trained_before
from .display import Display
from .paths import RunPaths
from .trainer import Trainer


class Session:
    """Parameters, corpus, trainer, budget, clock and display of one command on one run.

    Corpus and trainer are opened when they are first asked for: a command that only looks needs neither.

    Args:
        paths: The run and its files.
        params: Its parameters; ``None``: those of its file.
        display: Where progress is shown; ``None``: nowhere.
        budget: In place of the parameters' own.
        clock: Seconds since the command began.

    Attributes:
        is_tried: Whether what the run needs of the machine was found to be there.

    Raises:
        StarError: The run's name or its parameters are wrong.
    """

    def __init__(
        self,
        paths: RunPaths,
        params: Params | None = None,
        display: Display | None = None,
        budget: Budget | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_run_name(paths.run)
        self.paths = paths
        self.params = paths.read_params() if params is None else params
        self.display = Display.silent() if display is None else display
        self.budget = self.params.budget if budget is None else budget
        self.clock = stopwatch() if clock is None else clock
        self._cluster: Cluster | None = None
        self.is_tried = False

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """What Prefect records of a flow's parameter: which run it works on."""
        return iter(asdict(self.paths).items())

    def __reduce__(self) -> tuple[type[Session], tuple[RunPaths, Params]]:
        """A worker of a cluster gets the flow's parameters with a task: there the session begins anew."""
        return Session, (self.paths, self.params)

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.paths.run

    @cached_property
    def data(self) -> TokenData:
        """The prepared corpus.

        Raises:
            DataError: It is missing, malformed, tampered with, prepared by other parameters, or too
                short for one training sequence.
        """
        data = load_tokens(self.paths.tokens)
        data.verify()  # once per process: candidates trust the digest
        asked = stated("data", self.params.data)
        if data.meta.get("data", asked) != asked:
            raise DataError(
                "the prepared corpus was made by other data parameters",
                value=data.meta["data"],
                place=str(self.paths.tokens),
                fix=f"star prepare {self.run}",
            )
        needed = self.params.training.sequence_length + 1
        for split, tokens in (("train", data.train), ("validation", data.validation)):
            if len(tokens) < needed:
                raise DataError(
                    f"a sequence and its next token are {needed} tokens (training.sequence_length)",
                    value=len(tokens),
                    place=f"{self.paths.tokens}, {split}",
                    fix="shorten the sequence, raise data.validation_fraction or add text",
                )
        return data

    @cached_property
    def problem(self) -> Problem:
        """The experiment as the algorithms see it."""
        return Problem(self.params, self.data.vocab_size, self.data.metrics.get("bytes_per_token"))

    @cached_property
    def trainer(self) -> Trainer:
        """Candidate processes, store and leases."""
        runtime, location = self.params.runtime, self.params.runtime.storage
        storage = location if "://" in location else str(self.paths.path(location))
        return Trainer(
            runtime.model_copy(update={"storage": storage}),
            self.workers,
            self.params.training.threads,
            self.display.note,
        )

    @property
    def store(self) -> EvaluationStore:
        """Finished evaluations."""
        return self.trainer.store

    @property
    def cluster(self) -> Cluster | None:
        """The workers that candidates are handed to; ``None``: processes of this machine."""
        return self._cluster

    @contextmanager
    def on(self, cluster: Cluster) -> Iterator[None]:
        """Trains on a cluster while the block lasts."""
        self._cluster = cluster
        try:
            yield
        finally:
            self._cluster = None

    @property
    def workers(self) -> int:
        """Candidates trained at once."""
        if self.cluster is None:
            return self.params.workers
        slots = max(1, self.cluster.slots())  # a cluster that has lost them all may get others
        return min(self.params.runtime.workers or slots, slots)

    @cached_property
    def account(self) -> Account:
        """What the run has cost, and may."""
        counted = trained_before(self.run, self.paths.data, self.params)
        return Account(self.budget, self.params.training, counted, self.clock)

    def at_size(self, width: int | None, depth: int | None) -> Session:
        """The same command with models of another size; ``None``: that of this session."""
        model, space = self.params.model, self.params.space
        if width is not None and width != model.width:
            model = model.model_copy(update={"width": width, "head_dim": None})
        if depth is not None:
            space = space.model_copy(update={"depth": depth})
        params = self.params.model_copy(update={"model": model, "space": space})
        return Session(self.paths, params, self.display, self.budget, self.clock)

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
            data=str(self.paths.tokens),
            data_digest=self.data.digest,
            digest=digest,
            key=evaluation_key(digest, params, self.data.digest),
            storage=self.trainer.runtime.storage,
            endpoint=self.trainer.runtime.endpoint,
            checkpoint=checkpoint,
        )

    def at_rung(self, job: Job, stop: int | None, states: str, go_on: bool) -> Job:
        """The training until step ``stop`` (``None``: its last), on from where ``job`` ends or from none."""
        return replace(
            job,
            key=evaluation_key(job.digest, self.recipe(job.training.steps), job.data_digest, stop),
            stop=stop,
            resume=job.key if go_on else None,
            states=states if go_on or stop is not None else None,
        )

    def close(self) -> None:
        """Ends the candidate processes, if any were started."""
        if "trainer" in self.__dict__:
            self.trainer.close()
