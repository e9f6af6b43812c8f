"""Runs and individuals for the tests of the analysis, made without training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome import Genome
from star_core.genome.baselines import baseline
from star_core.genome.space import SearchSpace
from star_core.objectives.base import measure
from star_core.population.comparison import Comparison, Entry, comparison_path
from star_core.population.generation import Generation, generation_path
from star_core.population.individual import Cost, Individual, Origin, Repair
from star_core.semantics import VERSIONS
from star_core.storage.evaluations import EvaluationStore
from tests.evolution.experiments import DATA, evolve, experiment, pretended

ALL = ("perplexity", "parameters", "cache_bytes")
PAPER = SearchSpace.preset("paper", 8, 35)


def individual(
    name: str = "g000-00",
    genome: str = "11111",
    *,
    status: str = "ok",
    violation: float = 0.0,
    parents: tuple[str, ...] = (),
    mutations: tuple[int, ...] = (),
    points: tuple[int, ...] = (),
    repairs: tuple[tuple[int, str], ...] = (),
    operator: str | None = None,
    key: str | None = None,
    **objectives: float | None,
) -> Individual:
    """An individual with the given values and nothing else of interest."""
    made = operator or ("variation" if parents else "random")
    digits = "".join(f"{ord(c):02x}" for c in name)
    mended = tuple(Repair(position=p, old=1, new=2, rule=rule) for p, rule in repairs)
    return Individual(
        id=name,
        genome=genome,
        digest=digits.ljust(64, "0"),
        parents=parents,
        origin=Origin(operator=made, crossover_points=points, mutations=mutations, repairs=mended),
        key=key or digits.ljust(64, "f"),
        status=status,
        objectives=objectives,
        violation=violation,
        rank=0,
        cost=Cost(tokens=100, flops=1000),
    )


def generation(index: int, population: list[Individual], rejected: list[Individual] = ()) -> Generation:
    """A generation of hand-made individuals."""
    return Generation(
        run="hand",
        index=index,
        parent=None,
        parameters=experiment().params.identity(),
        data_digest=DATA,
        vocab_size=256,
        semantics=dict(VERSIONS),
        population=tuple(population),
        rejected=tuple(rejected),
        evicted=(),
    )


def evolve_with_a_lost_generation(problem: Problem, generations: int, lost: int) -> list[Generation]:
    """A run in which every offspring of generation ``lost`` failed."""
    made: list[Generation] = []
    for index in range(generations + 1):
        parent = made[-1] if made else None
        failing = 256 if index == lost else 0
        assessed = [
            assess(
                problem,
                child,
                problem.compile(Genome.parse(child.genome)),
                pretended(problem, child.genome, child.digest, failing),
                DATA,
            )
            for child in offspring_of(problem, parent)
        ]
        made.append(select(problem, "lost", parent, assessed, DATA))
    return made


def store_run(root: Path, generations: list[Generation]) -> None:
    """Writes generation files."""
    for generation in generations:
        generation.write(generation_path(generation.run, generation.index, root))


def store_comparison(
    root: Path,
    run: str,
    problem: Problem,
    purpose: str,
    losses: dict[str, tuple[Genome, float | None]],
    file: str | None = None,
    generation: str | None = None,
) -> None:
    """Writes a comparison in which each named genome reached a validation loss (``None``: failed).

    ``file`` is its name without ending, by default the purpose's; ``generation`` the digest of the one its
    individuals were taken from.
    """
    entries = []
    for name, (genome, loss) in losses.items():
        spec = problem.compile(genome)
        metrics = None if loss is None else {"validation_loss": loss}
        objectives, _, _ = measure(spec, metrics, problem.params.objectives)
        entries.append(
            Entry(
                name=name,
                genome=str(genome),
                digest=spec.digest,
                key=spec.digest,
                status="ok" if loss is not None else "diverged",
                objectives=objectives,
                cost=Cost(tokens=500, flops=5000),
            )
        )
    made = Comparison(
        run=run,
        purpose=purpose,
        parameters=problem.params.identity(),
        data_digest=DATA,
        generation=generation,
        entries=tuple(entries),
    )
    path = comparison_path(run, purpose, root)
    made.write(path.with_stem(file) if file else path)


def store_baselines(root: Path, run: str, problem: Problem, transformer: float, hybrid: float | None) -> None:
    """Writes the two baselines with their validation losses."""
    depth = problem.space.depth
    losses = {
        "transformer++": (baseline("transformer++", depth), transformer),
        "striped-hybrid": (baseline("striped-hybrid", depth), hybrid),
    }
    store_comparison(root, run, problem, "baselines", losses)


def fill_store(
    folder: Path, problem: Problem, generations: list[Generation], detail: str = ""
) -> EvaluationStore:
    """An evaluation store that holds every candidate of a run, 2 seconds each."""
    store = EvaluationStore(str(folder))
    for member in (member for each in generations for member in each.born):
        made = pretended(problem, member.genome, member.digest, 0 if member.ok else 256)
        evaluation: Evaluation = replace(
            made, key=member.key, detail="" if member.ok else detail, seconds={"total": 2.0, "training": 1.5}
        )
        store.put(evaluation)
    return store


__all__ = ["DATA", "evolve", "experiment"]
