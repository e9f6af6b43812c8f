"""``star plan``: what a run will cost, and where its budget will end it, before anything is spent."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np

from star_core.analysis.terminal.output import Output, plain_console
from star_core.architecture import Architecture
from star_core.evaluation import Evaluation
from star_core.evolution.limits import over_limits
from star_core.evolution.step import offspring_of
from star_core.genome.backbone import Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.objectives.base import objective_of
from star_core.planning.pace import Load
from star_core.planning.plan import (
    SERVER_SECONDS,
    START_SECONDS,
    Plan,
    Stage,
    trained_share,
    training_bytes,
)
from star_core.planning.plan_table import planned
from star_core.population.comparison import comparison_path
from star_core.population.generation import Generation, next_index

from ..run.budget import limited
from ..run.paths import RunPaths
from ..run.session import Session
from ..run.stored_baselines import has_baselines
from .calibration import calibrated_pace, stored_pace
from .preparation import checked_run

SAMPLED = 200
"""Random genomes that stand for candidates of which nothing is known yet."""
_LOOKUPS = 16


def plan_command(
    paths: RunPaths,
    generations: int | None,
    retrain: bool = False,
    calibrate: bool = True,
    max_tokens: int | None = None,
    max_seconds: float | None = None,
) -> Output:
    """What is ahead of the run up to generation ``generations``."""
    console, params = plain_console(stderr=True), paths.read_params()
    session = Session(paths, params, budget=limited(params.budget, max_tokens, max_seconds))

    try:
        looking = console.status("Looking at what is stored …") if console.is_terminal else nullcontext()
        with looking as status:
            note = status.update if status is not None else lambda _: None
            plan = plan_of(session, generations, retrain, calibrate, note)
    finally:
        session.close()
    return planned(plan, params.runtime)


def plan_of(
    session: Session,
    generations: int | None = None,
    retrain: bool = False,
    calibrate: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> Plan:
    """What is ahead of a run. The corpus is prepared if it is not; nothing else is written.

    Args:
        session: The command's session.
        generations: Index of the last generation; ``None``: the parameter file's.
        retrain: Whether ``star retrain`` is to follow.
        calibrate: Whether to train a few steps of a few genomes where no pace was measured yet.
        note: Called with one line of text on what is going on, whenever that has changed.

    Raises:
        StarError: What ``star evolve`` would refuse to begin with.
    """
    last = session.params.generations if generations is None else generations
    found = checked_run(session)
    survey = Survey(session, found, last)
    stages = survey.stages(retrain)
    pace = stored_pace(session, found, survey.evaluations)
    if pace is None and calibrate and any(stage.left for stage in stages):
        what = "Nothing was measured with this recipe here: training a few steps of a few genomes"
        pace = calibrated_pace(
            session, survey.pool, lambda done, count: note(f"{what}, {done} of {count} done …")
        )
    training, section = session.params.training, session.params.objectives
    wanted = dict.fromkeys((*section.selected, *section.constraints))
    entries = [objective_of(section, name) for name in wanted]
    return Plan(
        run=session.run,
        last=last,
        stages=tuple(stages),
        pace=pace,
        workers=session.workers,
        start=START_SECONDS if "PREFECT_API_URL" in os.environ else SERVER_SECONDS,
        budget=session.budget,
        trained=session.account.tokens,
        expected=tuple(Load.of(spec, training).flops for spec in survey.pool),
        source=survey.source,
        memory=max(training_bytes(spec, training) for spec in (*survey.pool, *survey.specs)),
        checkpoint=4 * max(spec.num_parameters for spec in survey.pool),
        over=survey.over,
        probed=tuple(entry.title for entry in entries if entry.probe is not None),
    )


class Survey:
    """The stages a run has ahead, found out from what is stored.

    Attributes:
        pool: Architectures like those to come: the newest population and its offspring, or random ones
            where nothing is stored yet.
        source: What they are, in words.
        specs: Candidates that are known already.
        evaluations: What the store holds of these.
        over: Of the next generation's candidates, how many are over a limit, and so are not trained.
    """

    def __init__(self, session: Session, found: Sequence[Generation], last: int) -> None:
        self._session, self._last, self._next = session, last, next_index(found)
        self._newest = found[-1] if found else None
        self._seen: set[tuple[str, str | None]] = set()
        self.specs: list[Architecture] = []
        self.evaluations: list[Evaluation] = []
        problem = session.problem
        made = offspring_of(problem, self._newest) if self._next <= last else []
        specs = {child.genome: problem.compile(Genome.parse(child.genome)) for child in made}
        over = over_limits(problem, specs)
        self.over = len(over)
        self._offspring = [genome for genome in specs if genome not in over]
        if self._newest is None:
            rng = np.random.default_rng(session.params.evolution.seed)
            genomes = [problem.space.sample(rng) for _ in range(SAMPLED)]
            self.source = f"{SAMPLED} random genomes of the space"
        else:
            genomes = [Genome.parse(individual.genome) for individual in self._newest.population]
            genomes += map(Genome.parse, self._offspring)
            self.source = f"the population of generation {self._newest.index}"
            self.source += " and its offspring" if self._offspring else ""
        self.pool = list(map(problem.compile, genomes))

    def stages(self, retrain: bool) -> list[Stage]:
        """What is not finished, in order."""
        session, stages = self._session, []
        params = session.params
        if not has_baselines(session):
            stages.append(self._known("baselines", self._baselines))
        if self._offspring:
            title = f"generation {self._next}" if self._newest else "founders"
            share = trained_share(params, len(self._offspring)) if self._newest else 1.0
            stages.append(self._known(title, dict(enumerate(self._offspring)), share=share))
        count = params.evolution.num_offspring
        for index in range(self._next + 1, self._last + 1):
            share = trained_share(params, count)
            stages.append(self._likely(f"generation {index}", count, share=share))
        if retrain:
            stages += self._retraining()
        return stages

    @property
    def _baselines(self) -> dict[str | int, str]:
        return {name: str(baseline(name, self._session.params.space.depth)) for name in PATTERNS}

    def _retraining(self) -> list[Stage]:
        """The baselines, and the front's best: those of the last generation, where that is stored."""
        params = self._session.params
        steps, genomes = params.retrain.steps, self._baselines
        if self._newest is not None and self._next > self._last:
            from ..retrain import best_of

            genomes |= {
                individual.id: individual.genome for individual in best_of(self._newest, params.retrain.top)
            }
            return [self._known("retraining", genomes, steps)]
        known = self._known("retrained baselines", genomes, steps)
        return [known, self._likely("retrained front", params.retrain.top, steps)]

    def _known(
        self, title: str, genomes: Mapping[str | int, str], steps: int | None = None, share: float = 1.0
    ) -> Stage:
        """Candidates that are known: what the store has of them is not trained again."""
        session, training = self._session, self._session.recipe(steps).training
        specs = {name: session.problem.compile(Genome.parse(text)) for name, text in genomes.items()}
        folder = comparison_path(session.paths.run, "retrain", session.paths.data).parent
        jobs = {
            name: session.job(
                genomes[name], spec.digest, steps, str(folder / f"{name}.safetensors") if steps else None
            )
            for name, spec in specs.items()
        }
        with ThreadPoolExecutor(_LOOKUPS) as lookups:
            found = dict(zip(jobs, lookups.map(session.trainer.stored, jobs.values()), strict=True))
        left = []
        for name, job in jobs.items():
            evaluation = found[name]
            if evaluation is not None:
                if share == 1.0:  # else it may have gone on from a rung: its seconds are not of all steps
                    self.evaluations.append(evaluation)
                session.account.count(job)
            elif (job.key, job.checkpoint) not in self._seen:
                left.append(Load.of(specs[name], training).share(share))
            self._seen.add((job.key, job.checkpoint))
        self.specs += specs.values()
        return Stage(
            title,
            len(genomes),
            tuple(sorted(left, key=lambda load: -load.flops)),
            round(training.tokens * share),
            retraining=steps is not None,
        )

    def _likely(self, title: str, count: int, steps: int | None = None, share: float = 1.0) -> Stage:
        """Candidates like those of the pool."""
        training = self._session.recipe(steps).training
        load = Load.mean([Load.of(spec, training) for spec in self.pool]).share(share)
        tokens = round(training.tokens * share)
        return Stage(title, count, (load,) * count, tokens, known=False, retraining=steps is not None)
