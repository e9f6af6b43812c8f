"""The headline: evolved backbones against the two hand-designed ones, same tokens, recipe and seeds.

    python -m benchmarks.headline [--folder .star/headline] [--plain] [--quick]

Three searches, as `star evolve` makes them: for quality, for quality and parameters, for quality and the
cache that 4,096 tokens leave. Each begins with random genomes of depth 16 and width 64, deep and narrow for
this size of model. The first two are the plain algorithm of the paper: NSGA-II, no screening, no halving. The
third is asked for what it is to show, a tenth of Transformer++'s cache, by a constraint that no founder need
meet, and makes more of its few candidates: children cut where sharing allows it, eight made for each that is
trained. With --plain it is as plain as the others.

Then the baselines train for as long as the final, with a seed of its own, at four learning rates: each keeps
its best. So do, at the default rate, some members of each search's front: those no worse than both baselines
by the search's own short training, the smallest first; without any such the best. Into the final goes, of
those whose perplexity is again no worse than both baselines', the smallest; for quality the best. In the
final it and the baselines train with three other seeds, so what chose it is not what it is judged by. Times
per token are measured at the end, one model after the other, on one thread.

Everything is kept in --folder: the same command goes on where it was stopped. --quick makes a search of a
few minutes that shows nothing but that all of it works.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.headline_table import Finalist, Verdict, table
from benchmarks.jobs import Candidate, baselines, make_jobs, run_jobs
from star_core.compiler import compile_genome
from star_core.config import Objectives, Params, load_params
from star_core.datasets.tokens import TokenData, load_tokens
from star_core.evaluation import Evaluation, Job, is_final
from star_core.genome import Genome
from star_core.genome.baselines import baseline
from star_core.genome.space import reading_space
from star_core.measurement.isolated import measure_all
from star_core.objectives.base import objective
from star_core.objectives.cache import measure
from star_core.population.comparison import comparison_path, read_comparison
from star_core.population.generation import Generation, stored_generations
from star_core.population.individual import Individual
from star_core.storage.evaluations import EvaluationStore
from star_core.training import CandidatePool

CHOOSING_SEED = 100
"""Of the training that chooses who goes into the final; the final's seeds are others."""
SHORTLIST = 3
RATES = (2.0, 1.0, 0.5, 0.25)
"""Learning rates that the baselines may choose from, times the default."""


@dataclass(frozen=True, slots=True, eq=False)
class Goal:
    """What a search is for.

    Attributes:
        run: Name of its run.
        title: For people.
        smaller: The objective beside perplexity; ``None``: quality alone.
        margins: Baseline → share by which that objective is to be smaller than the baseline's.
        evolution: What its algorithm has beyond the plain one.
        bounded: Whether the first margin is a constraint of the search too.
    """

    run: str
    title: str
    smaller: str | None
    margins: Mapping[str, float]
    evolution: Mapping[str, object] = field(default_factory=dict)
    bounded: bool = False

    @property
    def preset(self) -> str:
        """Of its objectives."""
        return {None: "quality", "parameters": "quality+size", "cache_bytes": "quality+cache"}[self.smaller]

    def size(self, individual: Individual) -> float:
        """What the goal wants small; 0 where it wants quality alone."""
        return known(individual.objectives[self.smaller]) if self.smaller else 0.0


_CACHE = {"transformer++": 0.90, "striped-hybrid": 0.37}
_MORE = {"crossover": "links", "mutation": "fitting", "screening": {"factor": 8}}
QUALITY = Goal("quality", "quality", None, {})
SIZE = Goal("size", "quality + parameters", "parameters", {"transformer++": 0.13, "striped-hybrid": 0.08})
CACHE = Goal("cache", "quality + cache", "cache_bytes", _CACHE)
BOUNDED = Goal("bounded", "quality + bounded cache", "cache_bytes", _CACHE, _MORE, bounded=True)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is spent: depth, width, candidates of a search, steps and seeds."""

    depth: int = 16
    width: int = 64
    population: int = 12
    generations: int = 5
    steps: int = 100
    final_steps: int = 800
    validation_tokens: int = 65536
    seeds: tuple[int, ...] = (1, 2, 3)

    def sections(self, goal: Goal) -> dict[str, object]:
        """The parameter file of a search."""
        objectives: dict[str, object] = {"preset": goal.preset}
        if goal.bounded and goal.smaller is not None:
            objectives["constraints"] = {goal.smaller: self.limit(goal)}
        return {
            "generations": self.generations,
            "space": {"depth": self.depth},
            "model": {"width": self.width},
            "training": {"steps": self.steps},
            "objectives": objectives,
            "evolution": {"population": self.population, **goal.evolution},
            "retrain": {"top": 1, "steps": self.steps},
            "runtime": {"deadline_seconds": 1800},
        }

    def limit(self, goal: Goal) -> int:
        """What a goal leaves of its first baseline's cache, in bytes."""
        name, share = next(iter(goal.margins.items()))
        architecture = compile_genome(baseline(name, self.depth), reading_space(), self.width)
        return int((1 - share) * measure(architecture, {}, Objectives()))

    def final(self, params: Params, seed: int, rate: float) -> Params:
        """The search's recipe for longer, with another seed, a larger validation, ``rate`` times its rate."""
        changed: dict[str, object] = {
            "steps": self.final_steps,
            "validation_tokens": self.validation_tokens,
            "seed": seed,
        }
        if rate != 1:
            changed["learning_rate"] = rate * params.training.peak_rate(self.width)
        return params.model_copy(update={"training": params.training.model_copy(update=changed)})


QUICK = Scale(
    depth=4, width=16, population=4, generations=1, steps=10, final_steps=20, validation_tokens=4096
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", default=".star/headline", help="runs and finished evaluations")
    parser.add_argument("--plain", action="store_true", help="every search is the paper's algorithm")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-times", action="store_true", help="measure no times per token")
    arguments = parser.parse_args()
    scale, folder = QUICK if arguments.quick else Scale(), Path(arguments.folder).resolve()
    goals = (QUALITY, SIZE, CACHE if arguments.plain else BOUNDED)
    searches = {goal: search(goal, scale, folder) for goal in goals}
    with Final(scale, folder, QUALITY.run, baselines(scale.depth)) as final:
        limit = min(final.tune().values())
        chosen = {goal: choose(goal, found, final, limit) for goal, found in searches.items()}
        finalists = final.compete(chosen)
    if not arguments.no_times:
        finalists = timed(finalists, final.params)
    verdicts = [judge(goal, finalists) for goal in goals]
    print()
    print(table(finalists, verdicts, final.spent(searches)))


def search(goal: Goal, scale: Scale, folder: Path) -> list[Generation]:
    """The goal's run, made by `star evolve` or found complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{goal.run}.yaml").write_text(yaml.safe_dump(scale.sections(goal), sort_keys=False))
    print(f"search for {goal.title}", flush=True)
    star = str(Path(sys.executable).parent / "star")
    subprocess.run(
        [star, "evolve", goal.run, "--params", f"{goal.run}.yaml"],
        cwd=folder,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    return stored_generations(goal.run, folder / "data")


class Final:
    """Longer trainings; what the store of the searches knows is not trained again.

    Args:
        scale: Of the final.
        folder: Of the searches.
        run: A search, by whose recipe all are trained.
        hand_designed: Candidates that choose their learning rates.
    """

    def __init__(self, scale: Scale, folder: Path, run: str, hand_designed: Sequence[Candidate]) -> None:
        self.scale, self.folder = scale, folder
        self.params = load_params(folder / f"{run}.yaml")
        self.data: TokenData = load_tokens(folder / "data" / "tokens" / run)
        self.storage = folder / ".star" / "evaluations"
        self.workers = self.params.workers
        runtime = self.params.runtime
        self.pool = CandidatePool(self.workers, runtime.deadline_seconds, runtime.memory_mib)
        self.hand_designed = hand_designed
        self.rates: dict[str, float] = {}

    def __enter__(self) -> Final:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()

    def tune(self) -> dict[str, float]:
        """Gives each baseline its best learning rate; name → perplexity with it, by the choosing seed."""
        print("learning rates of the baselines", flush=True)
        best: dict[str, float] = {}
        for rate in RATES:
            rates = {candidate.name: rate for candidate in self.hand_designed}
            for name, found in self.train(self.hand_designed, CHOOSING_SEED, rates).items():
                if perplexity(found) < best.get(name, float("inf")):
                    best[name], self.rates[name] = perplexity(found), rate
        return best

    def train(
        self, candidates: Sequence[Candidate], seed: int, rates: Mapping[str, float] | None = None
    ) -> dict[str, Evaluation]:
        """Name → outcome of the final's training with a seed."""
        jobs: dict[str, Job] = {}
        for candidate in candidates:
            recipe = self.scale.final(self.params, seed, (rates or self.rates).get(candidate.name, 1.0))
            jobs |= make_jobs([candidate], recipe, self.data, self.storage)
        store, known = EvaluationStore(str(self.storage)), {}
        for name, job in jobs.items():
            stored = store.get(job.key)
            if stored is not None and is_final(stored, self.params.runtime):
                known[name] = stored
        missing = {name: job for name, job in jobs.items() if name not in known}
        for finished in run_jobs(self.pool, missing, self.workers):
            known[finished.name] = finished.evaluation
            rate = (rates or self.rates).get(finished.name, 1.0)
            told = f"  {finished.name}, seed {seed}, learning rate × {rate:g}: "
            print(f"{told}{perplexity(finished.evaluation):.3f}", flush=True)
        return known

    def compete(self, chosen: Mapping[Goal, Candidate]) -> list[Finalist]:
        """The baselines and the chosen ones, with every seed of the final."""
        contestants = {contestant.name: contestant for contestant in (*self.hand_designed, *chosen.values())}
        print("final", flush=True)
        seeds = [self.train(list(contestants.values()), seed) for seed in self.scale.seeds]
        made = []
        for name, contestant in contestants.items():
            architecture = contestant.compile(self.params, self.data)
            made.append(
                Finalist(
                    name=name,
                    architecture=architecture,
                    perplexities=tuple(perplexity(found[name]) for found in seeds),
                    parameters=architecture.num_parameters,
                    cache_bytes=int(measure(architecture, {}, self.params.objectives)),
                    rate=self.rates.get(name, 1.0),
                )
            )
        return made

    def spent(self, searches: Mapping[Goal, Sequence[Generation]]) -> str:
        """What it took, by the evaluations' own clocks."""
        store = EvaluationStore(str(self.storage))
        found = [store.get(path.stem) for path in self.storage.glob("*/*.json")]
        seconds = sum(evaluation.seconds["total"] for evaluation in found if evaluation is not None)
        born = sum(len(generation.born) for generations in searches.values() for generation in generations)
        return (
            f"{born} candidates of {len(searches)} searches, {len(found)} trainings in all, "
            f"{seconds / self.workers / 60:.0f} minutes on {self.workers} workers"
        )


def choose(goal: Goal, generations: Sequence[Generation], final: Final, limit: float) -> Candidate:
    """Who represents a search, by a training as long as the final's with a seed of its own.

    Args:
        goal: Of the search.
        generations: Of the search.
        final: Trains.
        limit: Perplexity to be kept within: the better baseline's.
    """
    shortlist = shortlisted(goal, generations, final.folder)
    print(f"choosing for {goal.title}: {', '.join(individual.id for individual in shortlist)}", flush=True)
    candidates = {
        individual.id: Candidate(
            f"{goal.run} {individual.id}", Genome.parse(individual.genome), reading_space()
        )
        for individual in shortlist
    }
    found = final.train(list(candidates.values()), CHOOSING_SEED)

    def standing(individual: Individual) -> tuple[float, float]:
        reached = perplexity(found[candidates[individual.id].name])
        return (goal.size(individual), reached) if reached <= limit else (float("inf"), reached)

    return candidates[min(shortlist, key=standing).id]


def shortlisted(goal: Goal, generations: Sequence[Generation], folder: Path) -> list[Individual]:
    """The members of the front that are promising by the search's own training, best first."""
    entries = read_comparison(
        comparison_path(goal.run, "baselines", folder / "data"), goal.run, "baselines"
    ).entries
    limit = min(known(entry.objectives["perplexity"]) for entry in entries)

    def standing(individual: Individual) -> tuple[bool, float, float]:
        reached = known(individual.objectives["perplexity"])
        return (True, reached, 0.0) if reached > limit else (False, goal.size(individual), reached)

    last = generations[-1]
    candidates = last.population if goal.smaller is None else last.front or last.population
    different = {individual.digest: individual for individual in reversed(candidates) if individual.ok}
    return sorted(different.values(), key=standing)[:SHORTLIST]


def perplexity(evaluation: Evaluation) -> float:
    """Of the validation text, per token; infinite if the training failed."""
    if evaluation.status != "ok":
        return float("inf")
    return known(objective("perplexity").measure(None, evaluation.metrics, None))  # type: ignore[arg-type]


def known(value: float | None) -> float:
    """A value, infinite where a training failed."""
    return float("inf") if value is None else value


def timed(finalists: Sequence[Finalist], params: Params) -> list[Finalist]:
    """The finalists with the tokens per second that they decode here."""
    print("measuring times per token", flush=True)
    measured = measure_all([finalist.architecture for finalist in finalists], params, repeats=31)
    return [
        finalist.at(1 / found.metrics["decode_seconds_per_token"], found.metrics["disturbed"])
        for finalist, (_, found) in zip(finalists, measured, strict=True)
    ]


def judge(goal: Goal, finalists: Sequence[Finalist]) -> Verdict:
    """Whether the goal's finalist does what it was to do."""
    ours = next(finalist for finalist in finalists if finalist.name.startswith(f"{goal.run} "))
    rivals = {finalist.name: finalist for finalist in finalists if finalist.is_baseline}
    return Verdict.of(goal.title, ours, rivals, goal.smaller, goal.margins)


if __name__ == "__main__":
    main()
