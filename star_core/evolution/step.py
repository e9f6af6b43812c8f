"""One generation as pure functions: what to evaluate, and who survives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from star_core.architecture import Architecture
from star_core.config import Params
from star_core.dotted import dotted
from star_core.errors import StarError
from star_core.evaluation import Evaluation, Standing, evaluation_key
from star_core.evolution.base import Problem, algorithm, founders
from star_core.evolution.limits import excess_of, semantics_of
from star_core.evolution.screening import archive_of, can_screen, is_screening, screened
from star_core.genome.backbone import Genome
from star_core.objectives.base import measure, spreads
from star_core.population.generation import Generation, new_generation
from star_core.population.individual import Cost, Individual, Offspring


def offspring_of(problem: Problem, parent: Generation | None) -> list[Offspring]:
    """The genomes to evaluate: founders if there is no parent generation, else its offspring.

    Offspring differ in architecture from one another, from the parent population and from those
    the parent generation rejected.
    """
    if parent is None:
        return founders(problem)
    known = frozenset(individual.digest for individual in (*parent.population, *parent.rejected))
    method, index = algorithm(problem.params.evolution.algorithm), parent.index + 1
    if not is_screening(problem) or not can_screen(problem, parent):
        return method.vary(problem, parent.population, index, known)
    section = problem.params.evolution
    more = section.model_copy(update={"offspring": section.num_offspring * section.screening.factor})
    larger = replace(problem, params=problem.params.model_copy(update={"evolution": more}))
    return screened(problem, parent, method.vary(larger, parent.population, index, known))


def adopted(problem: Problem, source: Generation) -> list[Offspring]:
    """The population of another run's generation, to be assessed by this experiment: how a fork begins.

    Raises:
        StarError: A genome does not belong to this experiment's search space.
    """
    offspring = []
    for individual in source.population:
        genome = Genome.parse(individual.genome)
        try:
            if genome.depth not in problem.space.depths:
                raise StarError(
                    f"this run's genomes have {problem.params.space.depth_in_words} (space.depth)",
                    value=individual.genome,
                    fix="fork with the same space.depth, or begin a run of its own",
                )
            genome = problem.space.adopt(genome)
            problem.space.validate(genome)
        except StarError as error:
            raise error.at(
                f"run {source.run}, generation {source.index}, individual {individual.id}"
            ) from None
        offspring.append(
            Offspring(
                id=individual.id,
                genome=str(genome),
                digest=problem.compile(genome).digest,
                parents=individual.parents,
                origin=individual.origin,
            )
        )
    return sorted(offspring, key=lambda child: child.id)


def assess(
    problem: Problem,
    offspring: Offspring,
    architecture: Architecture,
    evaluation: Evaluation | None,
    data_digest: str,
    stop: int | None = None,
) -> Individual:
    """An offspring with its objectives, from the evaluation of its architecture.

    One with an objective that is no finite number counts as crashed; one without evaluation is over a limit.

    Args:
        problem: The experiment.
        offspring: The offspring to assess.
        architecture: What its genome compiles to.
        evaluation: Result of its training, or of the part up to ``stop``, with the metrics of its probes;
            ``None``: it was not trained, see ``over_limits``.
        data_digest: Digest of the corpus.
        stop: Step at which its training was stopped for good; ``None``: it was not.
    """
    status: Standing = "infeasible" if evaluation is None else evaluation.status
    metrics = evaluation.metrics if evaluation is not None and status == "ok" else None
    objectives, violation, failure = measure(architecture, metrics, problem.params.objectives)
    if metrics is None:
        failure = excess_of(problem, architecture) if evaluation is None else None
    elif failure is not None:
        status = "crashed"
    elif stop is not None:
        status = "stopped"
    training = problem.params.training
    tokens = training.tokens_until(stop) if evaluation is not None else 0
    return Individual(
        **offspring.model_dump(),
        key=evaluation_key(offspring.digest, problem.params, data_digest, stop),
        status=status,
        objectives=objectives,
        violation=violation,
        cost=Cost(
            tokens=tokens,
            flops=architecture.training_flops(tokens, training.sequence_length),
        ),
        noise=(spreads(metrics, problem.params.objectives) or None) if metrics is not None else None,
        failure=failure,
    )


def select(
    problem: Problem,
    run: str,
    parent: Generation | None,
    assessed: Sequence[Individual],
    data_digest: str,
) -> Generation:
    """The next generation: survivors among parents and offspring.

    Where ``parent`` is another run's, this is the beginning of a fork: its population, assessed anew.

    Raises:
        StarError: No individual could be trained, so there is nothing to select from.
    """
    fork = parent is not None and parent.run != run
    index = parent.index + (not fork) if parent else 0
    parents = parent.population if parent and not fork else ()
    if not any(individual.has_standing for individual in (*parents, *assessed)):
        outcomes: Mapping[str, int] = {}
        for individual in assessed:
            outcomes = {**outcomes, individual.status: outcomes.get(individual.status, 0) + 1}
        counted = ", ".join(f"{count} {status}" for status, count in outcomes.items())
        if failures := dict.fromkeys(individual.failure for individual in assessed if individual.failure):
            counted += f" ({'; '.join(list(failures)[:3])})"
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
    survived = {individual.id for individual in population}
    return new_generation(
        run,
        index,
        parent,
        problem.params,
        semantics_of(problem.params),
        data_digest,
        problem.vocab_size,
        tuple(population),
        tuple(individual for individual in assessed if individual.id not in survived),
        tuple(individual.id for individual in parents if individual.id not in survived),
        archive_of(problem, parent, assessed) if is_screening(problem) else None,
        problem.bytes_per_token,
    )


def check_same_experiment(stored: Generation, params: Params, data_digest: str | None, place: str) -> None:
    """Raises ``StarError`` naming the key if ``stored`` was made by another experiment.

    Args:
        stored: A generation of the run.
        params: The parameters as they are now.
        data_digest: Digest of the prepared corpus as it is now; ``None`` if that is not known yet.
        place: The parameter file, for the message.
    """
    before, now = dotted(stored.params().identity()), dotted(params.identity())
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            # An identity leaves out what was so before there was a key for it.
            was, wanted = (
                values.get(key, dotted(made.model_dump(mode="json")).get(key))
                for values, made in ((before, stored.params()), (now, params))
            )
            raise StarError(
                f"generation {stored.index} of run {stored.run!r} was made with {was!r}",
                value=wanted,
                place=f"{place}, {key}",
                fix="restore that value, or go on under another name: "
                f"star resume {stored.run} --as NAME --params {place}",
            )
    if stored.semantics != semantics_of(params):
        raise StarError(
            f"generation {stored.index} of run {stored.run!r} was made by code of {stored.semantics}",
            value=semantics_of(params),
            place="star_core/semantics.py",
            fix="check out the code it was made with, or go on under another name: "
            f"star resume {stored.run} --as NAME",
        )
    if data_digest is not None and stored.data_digest != data_digest:
        raise StarError(
            f"run {stored.run!r} was made with the corpus {stored.data_digest[:12]}…",
            value=data_digest[:12],
            place=f"data/tokens/{stored.run}",
            fix="restore the text it was made from, or go on under another name: "
            f"star resume {stored.run} --as NAME",
        )
