"""What benchmarks that train candidates share: named genomes, their jobs, and a pool going through them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from star_core import Architecture, Genome, SearchSpace, compile_genome
from star_core.config import Params
from star_core.datasets import TokenData
from star_core.evaluation import Evaluation, Job, evaluation_key
from star_core.genome.baselines import PATTERNS, baseline
from star_core.genome.space import CLASS_TABLE
from star_core.training import CandidatePool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A genome with a name for people, and the space that says what its integers mean."""

    name: str
    genome: Genome
    space: SearchSpace

    def compile(self, params: Params, data: TokenData) -> Architecture:
        """Its architecture at the experiment's size."""
        model = params.model
        return compile_genome(self.genome, self.space, model.width, model.head_dim, data.vocab_size)


@dataclass(frozen=True, slots=True)
class Finished:
    """A candidate's outcome and when it had its process, by ``time.perf_counter``.

    Attributes:
        name: Of the candidate.
        evaluation: Its outcome.
        asked: When a process was asked for.
        began: When there was one.
        ended: When it was gone.
    """

    name: str
    evaluation: Evaluation
    asked: float
    began: float
    ended: float

    @property
    def loss(self) -> float | None:
        """Validation loss in nats per token; ``None``: it failed."""
        return self.evaluation.metrics.get("validation_loss")


def baselines(depth: int) -> list[Candidate]:
    """The hand-designed architectures."""
    table = SearchSpace.preset(CLASS_TABLE, depth)
    return [Candidate(name, baseline(name, depth), table) for name in PATTERNS]


def random_candidates(space: SearchSpace, count: int, seed: int = 0) -> list[Candidate]:
    """Random valid genomes of a space; more of them begin with the same ones."""
    rng = np.random.default_rng(seed)
    return [Candidate(f"random {index}", space.sample(rng), space) for index in range(count)]


def make_jobs(
    candidates: Iterable[Candidate], params: Params, data: TokenData, storage: str | Path
) -> dict[str, Job]:
    """Name to job, the most expensive first as in a search, so that workers end together."""
    specs = [(candidate, candidate.compile(params, data)) for candidate in candidates]
    specs.sort(key=lambda pair: -pair[1].flops_per_token(params.training.sequence_length))
    return {
        candidate.name: Job(
            genome=str(candidate.genome),
            space=candidate.space.name,
            model=params.model,
            training=params.training,
            data=str(data.folder),
            data_digest=data.digest,
            digest=spec.digest,
            key=evaluation_key(spec.digest, params, data.digest),
            storage=str(storage),
        )
        for candidate, spec in specs
    }


def run_jobs(pool: CandidatePool, jobs: Mapping[str, Job], workers: int) -> Iterator[Finished]:
    """Trains all jobs, ``workers`` at once, and yields each when it is done.

    Whoever stops early, by Ctrl-C too, closes the pool: what was not finished is dropped.
    """
    with ThreadPoolExecutor(workers) as threads:
        try:
            for future in as_completed([threads.submit(_run, pool, *item) for item in jobs.items()]):
                yield future.result()
        except BaseException:
            pool.close()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _run(pool: CandidatePool, name: str, job: Job) -> Finished:
    asked = time.perf_counter()
    starts: list[float] = []
    evaluation = pool.run(job, on_start=lambda _pid: starts.append(time.perf_counter()))
    return Finished(name, evaluation, asked, starts[0] if starts else asked, time.perf_counter())
