"""What a process needs while it works on a run: parameters, corpus, store, candidate processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache

from star_core.config import Params, load_params
from star_core.datasets.tokens import TokenData, load_tokens
from star_core.errors import DataError
from star_core.evaluation import Job, evaluation_key
from star_core.evolution.base import Problem
from star_core.genome.space import CLASS_TABLE
from star_core.population.generation import check_run_name
from star_core.storage.evaluations import EvaluationStore

from ..clusters.engine import Cluster
from .budget import Account, Clock, stopwatch, trained_before
from .paths import Where
from .trainer import Trainer


class Session:
    """Everything a run needs in this process, made when it is first asked for."""

    def __init__(self, where: Where) -> None:
        check_run_name(where.run)
        self.where = where
        self.note: Callable[[str], None] = lambda _: None  # whoever draws this process says where to
        self.elapsed: Clock = stopwatch()  # a command begins with its session
        self.params: Params = at_size(
            load_params(where.path(where.params), where.changes), where.width, where.depth
        )
        self.cluster: Cluster | None = None  # while a command works on one
        self.budget = self.params.budget  # a command may state another

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
                fix=f"star prepare {self.where.run}",
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

    @cached_property
    def trainer(self) -> Trainer:
        """Candidate processes, store and leases, shared by all flows of this process."""
        runtime, threads = self.params.runtime, self.params.training.threads
        location = runtime.storage
        storage = location if "://" in location else str(self.where.path(location))
        return Trainer(
            runtime.model_copy(update={"storage": storage}),
            self.workers,
            threads,
            lambda text: self.note(text),
        )

    @property
    def store(self) -> EvaluationStore:
        """Finished evaluations."""
        return self.trainer.store

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
        counted = trained_before(self.where.run, self.where.data, self.params)
        return Account(self.budget, self.params.training, counted, lambda: self.elapsed())

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


def at_size(params: Params, width: int | None, depth: int | None) -> Params:
    """The experiment with models of another size."""
    model, space = params.model, params.space
    if width is not None and width != model.width:
        model = model.model_copy(update={"width": width, "head_dim": None})
    if depth is not None:
        space = space.model_copy(update={"depth": depth})
    return params.model_copy(update={"model": model, "space": space})


@lru_cache(maxsize=8)
def session(where: Where) -> Session:
    """The session of a run in this process."""
    return Session(where)
