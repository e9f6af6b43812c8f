"""Searches with one budget: who takes part, how a search is run, and its course."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from star_core.analysis.run.pareto import Normalisation, fresh, front
from star_core.analysis.run.repairs import Breakage, broken, children_of
from star_core.config import Params, params_from
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.evolution.halving import promoted, rung_steps
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome.backbone import Genome
from star_core.population.generation import Generation
from star_core.population.individual import Individual, Offspring

Train = Callable[[Problem, Sequence[Offspring], int | None, int | None], Sequence[Evaluation]]
"""``(problem, offspring, stop, before)`` → outcomes of training until step ``stop`` (``None``: the last), on
from step ``before`` (``None``: from the beginning)."""

PATIENCE = 20
"""Generations at most, as a multiple of what the budget takes when every place is filled."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A way of searching: a name for people, and what it changes in the section ``evolution``."""

    name: str
    evolution: Mapping[str, object]


@dataclass(frozen=True)
class Course:
    """How a search went.

    Attributes:
        name: The contender's.
        seed: Of the search; searches of one seed begin with the same founders.
        tokens: Trained on, after each candidate.
        hypervolume: Of everything evaluated, after each candidate; never falls.
        generations: Made.
        children: What variation made, before ``evolution.repair``.
    """

    name: str
    seed: int
    tokens: Sequence[int]
    hypervolume: Sequence[float]
    generations: int
    children: Breakage = field(repr=False)

    @property
    def final(self) -> float:
        """Hypervolume at the end of the budget."""
        return self.hypervolume[-1]

    def tokens_to(self, hypervolume: float) -> int | None:
        """Tokens after which a hypervolume was reached; ``None``: it was not."""
        at = bisect_left(self.hypervolume, hypervolume - 1e-12)
        return self.tokens[at] if at < len(self.tokens) else None


def parameters(sections: Mapping[str, Mapping[str, object]], contender: Contender, seed: int) -> Params:
    """The experiment of one search.

    Raises:
        ConfigError: A key or value is not valid.
    """
    evolution = {**sections.get("evolution", {}), **contender.evolution, "seed": seed}
    return params_from({**sections, "evolution": evolution}, contender.name)


def search(params: Params, name: str, budget: int, vocab_size: int, data_digest: str, train: Train) -> Course:
    """Evolves until the tokens of ``budget`` whole trainings are spent, or nothing new is found any more."""
    problem = Problem(params, vocab_size)
    per_generation = params.evolution.num_offspring
    most = PATIENCE * (1 + budget // per_generation)
    generations: list[Generation] = []
    left = budget * params.training.tokens
    while left > 0 and len(generations) < most:
        parent = generations[-1] if generations else None
        offspring = offspring_of(problem, parent)
        if not (parent and rung_steps(params)):
            offspring = offspring[: left // params.training.tokens]
        born = train_in_rungs(problem, offspring, bool(parent), data_digest, train)
        generations.append(select(problem, "search", parent, born, data_digest))
        left -= sum(individual.cost.tokens for individual in born)
    return course(problem, generations, name, budget)


def train_in_rungs(
    problem: Problem, offspring: Sequence[Offspring], halving: bool, data_digest: str, train: Train
) -> list[Individual]:
    """Individuals in the order of ``offspring``, some of them stopped at a rung if there is ``halving``."""
    ended: dict[str, Individual] = {}
    standing, before = list(offspring), None

    def until(stop: int | None, ends: bool) -> list[Individual]:
        outcomes = zip(standing, train(problem, standing, stop, before), strict=True)
        end = stop if ends else None
        return [
            assess(problem, child, problem.compile(Genome.parse(child.genome)), found, data_digest, end)
            for child, found in outcomes
        ]

    for stop in rung_steps(problem.params) if halving else ():
        chosen = {individual.id for individual in promoted(problem, until(stop, ends=False))}
        ended |= {
            individual.id: individual for individual in until(stop, ends=True) if individual.id not in chosen
        }
        standing, before = [child for child in standing if child.id in chosen], stop
    ended |= {individual.id: individual for individual in until(None, ends=True)}
    return [ended[child.id] for child in offspring]


def course(problem: Problem, generations: Sequence[Generation], name: str, budget: int) -> Course:
    """The course of a finished search, candidate by candidate in the order they were made."""
    names = problem.params.objectives.selected
    frame = Normalisation.of_runs([generations], names)
    tokens, volumes = [0], [0.0]
    best: tuple[Individual, ...] = ()
    last = budget * problem.params.training.tokens
    for _, born in fresh(generations):
        in_rungs, spent = any(individual.status == "stopped" for individual in born), tokens[-1]
        everything = spent + sum(individual.cost.tokens for individual in born)
        for individual in born:
            # In rungs nobody is done before nearly all of the generation is paid for.
            spent = everything if in_rungs else spent + individual.cost.tokens
            if spent > last:
                break
            better = front((*best, individual), names)
            tokens.append(spent)
            volumes.append(frame.hypervolume_of(better) if better != best else volumes[-1])
            best = better
    # Without new candidates nothing is gained; the budget counts as spent.
    tokens.append(last)
    volumes.append(volumes[-1])
    children = [genome for parent in generations[:-1] for genome in children_of(problem, parent)]
    seed = problem.params.evolution.seed
    return Course(name, seed, tokens, volumes, len(generations) - 1, broken(problem.space, children))
