"""Pre-screening: more offspring are made than trained, and a predictor picks those that are.

The predictor learns from the archive that each generation file carries: every candidate of the run that was
trained to the end. So the choice is a function of the stored parent, like everything else. With too few
candidates to learn from, as many offspring are made as trained and all of them are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from star_core.architecture import Architecture
from star_core.evolution.base import Problem, Purpose
from star_core.evolution.predictor import features, fit
from star_core.evolution.survival import ranked
from star_core.genome.backbone import Genome
from star_core.objectives.base import measure, objective_of, violation
from star_core.population.generation import Generation
from star_core.population.individual import Cost, Individual, Offspring, Past, individual_id

ARCHIVED = 4096
"""Candidates an archive holds: the latest."""


def is_screening(problem: Problem) -> bool:
    """Whether the run makes more offspring than it trains."""
    return problem.params.evolution.screening.factor > 1


def archive_of(
    problem: Problem, parent: Generation | None, assessed: Sequence[Individual]
) -> tuple[Past, ...]:
    """The parent's archive with the candidates of a generation that were trained to the end."""
    names = predicted_objectives(problem)
    past = () if parent is None or parent.archive is None else parent.archive
    new = []
    for individual in assessed:
        known = {name: value for name in names if (value := individual.objectives[name]) is not None}
        if individual.ok and len(known) == len(names):
            new.append(Past(genome=individual.genome, objectives=known))
    return (*past, *sorted(new, key=lambda entry: entry.genome))[-ARCHIVED:]


def predicted_objectives(problem: Problem) -> tuple[str, ...]:
    """The run's objectives that take a training or a probe, which are those to be predicted."""
    section = problem.params.objectives
    return tuple(name for name in section.selected if objective_of(section, name).needs_process)


def can_screen(problem: Problem, parent: Generation) -> bool:
    """Whether there are candidates enough to learn from."""
    return len(parent.archive or ()) >= problem.params.evolution.screening.minimum


def screened(problem: Problem, parent: Generation, made: Sequence[Offspring]) -> list[Offspring]:
    """The offspring to be trained, of those that were made.

    Taken are those that the run's survival order prefers among themselves and the parents, by known sizes
    and predicted objectives; a share is taken at random from the rest, for the predictor to learn from.
    """
    section, wanted = problem.params.evolution.screening, problem.params.evolution.num_offspring
    if len(made) <= wanted:
        return list(made)
    predicted = _predicted(problem, parent, made)
    at_random = min(wanted - 1, round(section.explore * wanted))
    order = [candidate.id for candidate in ranked(problem, [*parent.population, *predicted])]
    own = {child.id: child for child in made}
    chosen = [name for name in order if name in own][: wanted - at_random]
    rest = [name for name in own if name not in chosen]
    rng = problem.rng(parent.index + 1, Purpose.SCREENING)
    chosen += [rest[index] for index in rng.permutation(len(rest))[:at_random]]
    kept = [child for child in made if child.id in set(chosen)]
    return [
        child.model_copy(update={"id": individual_id(parent.index + 1, slot)})
        for slot, child in enumerate(kept)
    ]


def _predicted(problem: Problem, parent: Generation, made: Sequence[Offspring]) -> list[Individual]:
    """The offspring as if they had been trained."""
    context = problem.params.training.sequence_length

    def rows(specs: Sequence[Architecture]) -> np.ndarray:
        return np.array([features(spec, context, problem.space.structures) for spec in specs])

    archive = parent.archive or ()
    seen = rows([problem.compile(Genome.parse(entry.genome)) for entry in archive])
    specs = [problem.compile(Genome.parse(child.genome)) for child in made]
    fresh = rows(specs)
    values: dict[str, np.ndarray] = {}
    for name in predicted_objectives(problem):
        values[name] = fit(seen, [entry.objectives[name] for entry in archive]).predict(fresh)
    return [
        _as_individual(problem, child, spec, {name: float(column[row]) for name, column in values.items()})
        for row, (child, spec) in enumerate(zip(made, specs, strict=True))
    ]


def _as_individual(
    problem: Problem, child: Offspring, spec: Architecture, predicted: Mapping[str, float]
) -> Individual:
    section = problem.params.objectives
    values = {**measure(spec, None, section)[0], **predicted}
    return Individual(
        **child.model_dump(),
        key=child.digest,
        status="ok",
        objectives=values,
        violation=violation(values, section),
        cost=Cost(tokens=0, flops=0),
    )
