"""The steps of a generation as Prefect tasks; their bodies call ``star_core``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from star_core.architecture import Architecture
from star_core.evaluation import Evaluation
from star_core.evolution.screening import can_screen, is_screening
from star_core.evolution.step import adopted, assess, offspring_of, select
from star_core.genome.backbone import Genome
from star_core.population.generation import Generation
from star_core.population.individual import Individual, Offspring

from .run.artifacts import publish_generation
from .run.session import Session
from .run.uncached_task import uncached_task


@uncached_task("sample")
def sample(session: Session) -> list[Offspring]:
    """The founders."""
    return offspring_of(session.problem, None)


@uncached_task("recombine and mutate")
def recombine_and_mutate(session: Session, parent: Generation) -> list[Offspring]:
    """The offspring of a generation."""
    problem = session.problem
    if is_screening(problem) and not can_screen(problem, parent):
        least, known = problem.params.evolution.screening.minimum, len(parent.archive or ())
        session.display.note(
            f"no screening yet: the predictor learns from {least} candidates, {known} are trained"
        )
    return offspring_of(problem, parent)


@uncached_task("adopt")
def adopt(session: Session, source: Generation) -> list[Offspring]:
    """The population of another run's generation, with which a fork begins."""
    return adopted(session.problem, source)


@uncached_task("compile")
def compile_candidates(session: Session, genomes: Mapping[str, str]) -> dict[str, Architecture]:
    """Name → genome to name → architecture, the most expensive first, so that workers end together."""
    length = session.params.training.sequence_length
    architectures = {name: session.problem.compile(Genome.parse(text)) for name, text in genomes.items()}
    cost = {name: -architecture.flops_per_token(length) for name, architecture in architectures.items()}
    return {name: architectures[name] for name in sorted(cost, key=lambda name: (cost[name], name))}


@uncached_task("evaluate")
def evaluate(
    session: Session,
    offspring: Sequence[Offspring],
    architectures: Mapping[str, Architecture],
    evaluations: Mapping[str, Evaluation],
    stopped: Mapping[str, int],
) -> list[Individual]:
    """Offspring with the objectives that their evaluations say; those without were not trained.

    ``stopped``: name → step of a rung.
    """
    problem, digest = session.problem, session.data.digest
    assessed = [
        assess(
            problem,
            child,
            architectures[child.id],
            evaluations.get(child.id),
            digest,
            stopped.get(child.id),
        )
        for child in offspring
    ]
    for individual in assessed:
        if individual.failure is not None and individual.status != "infeasible":
            session.display.note(f"{individual.id}: {individual.status} ({individual.failure})")
    return assessed


@uncached_task("select")
def survive(session: Session, parent: Generation | None, assessed: Sequence[Individual]) -> Generation:
    """Selects the survivors among parents and offspring, and stores the generation."""
    generation = select(session.problem, session.run, parent, assessed, session.data.digest)
    generation.write(session.paths.generation(generation.index))
    session.display.selected(generation)
    return generation


@uncached_task("publish")
def publish(session: Session, generation: Generation) -> None:
    """The population, its front and a picture of it as artifacts in the Prefect UI."""
    publish_generation(session.paths, generation)
