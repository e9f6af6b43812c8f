"""One generation as pure functions: what to evaluate, and who survives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from star_core import semantics
from star_core.config import Params
from star_core.errors import StarError
from star_core.evaluation import Evaluation, evaluation_key
from star_core.evolution.base import Problem, algorithm, founders
from star_core.genome.backbone import Genome
from star_core.objectives.base import measure
from star_core.population.generation import Generation, new_generation
from star_core.population.individual import Cost, Individual, Offspring


def offspring_of(problem: Problem, parent: Generation | None) -> list[Offspring]:
    """The genomes to evaluate: founders if there is no parent generation, else its offspring.

    Offspring differ in architecture from one another, from the parent population and from those
    the parent generation rejected.
    """
    if parent is None:
        return founders(problem)
    known = frozenset(one.digest for one in (*parent.population, *parent.rejected))
    method = algorithm(problem.params.evolution.algorithm)
    return method.vary(problem, parent.population, parent.index + 1, known)


def assess(problem: Problem, offspring: Offspring, evaluation: Evaluation, data_digest: str) -> Individual:
    """An offspring with its objectives, from the evaluation of its architecture."""
    architecture = problem.compile(Genome.parse(offspring.genome))
    metrics = evaluation.metrics if evaluation.status == "ok" else None
    objectives, violation = measure(architecture, metrics, problem.params.objectives)
    training = problem.params.training
    return Individual(
        **offspring.model_dump(),
        key=evaluation_key(offspring.digest, problem.params, data_digest),
        status=evaluation.status,
        objectives=objectives,
        violation=violation,
        cost=Cost(
            tokens=training.tokens,
            flops=architecture.training_flops(training.tokens, training.sequence_length),
        ),
    )


def select(
    problem: Problem,
    run: str,
    parent: Generation | None,
    assessed: Sequence[Individual],
    data_digest: str,
) -> Generation:
    """The next generation: survivors among parents and offspring.

    Raises:
        StarError: No individual could be trained, so there is nothing to select from.
    """
    index = parent.index + 1 if parent else 0
    parents = parent.population if parent else ()
    if not any(one.ok for one in (*parents, *assessed)):
        outcomes: Mapping[str, int] = {}
        for one in assessed:
            outcomes = {**outcomes, one.status: outcomes.get(one.status, 0) + 1}
        counted = ", ".join(f"{count} {status}" for status, count in outcomes.items())
        raise StarError(
            "no founder could be trained, so there is nothing to evolve",
            value=counted,
            place=f"{run}, generation {index}",
            fix="lower training.learning_rate if they diverged, raise runtime.deadline_seconds or "
            "runtime.memory_mib if they ran into those; "
            f"the evaluations under {problem.params.runtime.storage} say what happened",
        )
    method = algorithm(problem.params.evolution.algorithm)
    population = method.survive(problem, (*parents, *assessed), index)
    survived = {one.id for one in population}
    return new_generation(
        run,
        index,
        parent,
        problem.params,
        data_digest,
        problem.vocab_size,
        tuple(population),
        tuple(one for one in assessed if one.id not in survived),
        tuple(one.id for one in parents if one.id not in survived),
    )


def check_same_experiment(stored: Generation, params: Params, data_digest: str | None, place: str) -> None:
    """Raises ``StarError`` naming the key if ``stored`` was made by another experiment.

    Args:
        stored: A generation of the run.
        params: The parameters as they are now.
        data_digest: Digest of the prepared corpus as it is now; ``None`` if that is not known yet.
        place: The parameter file, for the message.
    """
    before, now = _flatten(stored.parameters), _flatten(params.identity())
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise StarError(
                f"generation {stored.index} of run {stored.run!r} was made with {before.get(key)!r}",
                value=now.get(key),
                place=f"{place}, {key}",
                fix="restore that value, or start another run with --run NAME",
            )
    if stored.semantics != semantics.VERSIONS:
        raise StarError(
            f"generation {stored.index} of run {stored.run!r} was made by code of {stored.semantics}",
            value=semantics.VERSIONS,
            place="star_core/semantics.py",
            fix="check out the code it was made with, or start another run with --run NAME",
        )
    if data_digest is not None and stored.data_digest != data_digest:
        raise StarError(
            f"run {stored.run!r} was made with the corpus {stored.data_digest[:12]}…",
            value=data_digest[:12],
            place=f"data/tokens/{stored.run}",
            fix="restore the text it was made from, or start another run with --run NAME",
        )


def _flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
