"""A search without training: outcomes are a fixed function of the architecture."""

from __future__ import annotations

import math

from star_core.config import Params, params_from
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.evolution.limits import over_limits
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome import Genome
from star_core.population.generation import Generation

DATA = "d" * 64


def experiment(**sections: object) -> Problem:
    """A problem with some parameters set."""
    params: Params = params_from(sections, "test")
    return Problem(params, vocab_size=256)


def pretended(problem: Problem, genome: str, digest: str, failing: int = 16) -> Evaluation:
    """An evaluation that was never made: larger is better, with noise from the digest."""
    spec = problem.compile(Genome.parse(genome))
    failed = int(digest[:2], 16) < failing
    loss = 3 - 0.3 * math.log10(spec.num_parameters) + int(digest[2:6], 16) / 65536 * 0.3
    metrics = {} if failed else {"validation_loss": loss}
    status = "diverged" if failed else "ok"
    return Evaluation("0" * 64, digest, genome, status, metrics, "", 1, 1, {}, {}, {}, "")


def evolve(
    problem: Problem, generations: int, run: str = "test", failing: int = 16, everyone: bool = False
) -> list[Generation]:
    """Founders and ``generations`` generations; ``everyone``: who is over a limit is trained too."""
    made: list[Generation] = []
    for _ in range(generations + 1):
        parent = made[-1] if made else None
        offspring = offspring_of(problem, parent)
        specs = {child.id: problem.compile(Genome.parse(child.genome)) for child in offspring}
        over = () if everyone else over_limits(problem, specs)
        assessed = [
            assess(
                problem,
                child,
                specs[child.id],
                None if child.id in over else pretended(problem, child.genome, child.digest, failing),
                DATA,
            )
            for child in offspring
        ]
        made.append(select(problem, run, parent, assessed, DATA))
    return made
