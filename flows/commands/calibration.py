"""What tells how fast this machine trains a run's candidates: finished evaluations, or a calibration."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from star_core.analysis.run.outcomes import evaluations
from star_core.architecture import Architecture
from star_core.config import Params
from star_core.errors import StarError
from star_core.evaluation import Evaluation, Job
from star_core.evolution.halving import rung_steps
from star_core.genome.backbone import Genome
from star_core.machine import machine_fingerprint
from star_core.planning.pace import ENOUGH, Load, Pace, Timing, calibration_steps, fit, telling, timings
from star_core.population.comparison import comparison_path, read_comparison, stored_baselines
from star_core.population.generation import Generation, read_generation

from ..run.session import Session

MOST = 200
"""Evaluations looked at, at most."""
_SPEED = ("batch_size", "sequence_length", "validation_tokens", "precision", "threads")
"""Settings of a recipe that a step's time depends on."""


def stored_pace(session: Session, found: Sequence[Generation], known: Iterable[Evaluation]) -> Pace | None:
    """The pace of finished trainings with this recipe on this type of machine; ``None`` below ``ENOUGH``.

    Args:
        session: The command's session.
        found: Its stored generations.
        known: Evaluations that are loaded already.
    """
    at_hand = {evaluation.key: evaluation for evaluation in known}
    wanted = islice((key for key in dict.fromkeys(_keys(session, found)) if key not in at_hand), MOST)
    pace = fit(_timings(session, [*at_hand.values(), *evaluations(list(wanted), session.store).values()]), "")
    if pace is None or pace.measured < ENOUGH:
        return None
    return replace(pace, source=f"{pace.measured} finished trainings of this recipe on this type of machine")


def calibrated_pace(
    session: Session, specs: Sequence[Architecture], reached: Callable[[int, int], None] = lambda *_: None
) -> Pace | None:
    """The pace of a few short trainings made now, as many at once as in a run; nothing of them is kept.

    Args:
        session: The command's session.
        specs: Architectures to choose from.
        reached: Called with the number of trainings that are done, and of all.

    Returns:
        ``None`` if none of them could be trained.
    """
    chosen = telling(specs, session.params.training)
    lengths = calibration_steps(session.params.training.steps)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(session.workers) as threads:

        def job(spec: Architecture, steps: int) -> Job:
            made = session.job(str(spec.genome), spec.digest, steps)
            return replace(made, storage=folder, endpoint=None)

        jobs = [job(spec, steps) for steps in lengths for spec in chosen]
        reached(0, len(jobs))
        ended = []
        for future in as_completed([threads.submit(session.trainer.pool.run, job) for job in jobs]):
            ended.append(future.result())
            reached(len(ended), len(jobs))
    source = f"a calibration just now, {len(jobs)} trainings of {' or '.join(map(str, lengths))} steps"
    return fit(_timings(session, ended), source)


def _timings(session: Session, found: Iterable[Evaluation]) -> list[Timing]:
    training = session.params.training
    per_step = training.batch_size * training.sequence_length

    def load(evaluation: Evaluation) -> Load:
        spec = session.problem.compile(Genome.parse(evaluation.genome))
        return Load.of(spec, session.recipe(evaluation.tokens // per_step).training)

    trained = ((evaluation, load(evaluation)) for evaluation in found if evaluation.tokens >= per_step)
    return list(timings(trained, machine_fingerprint(training.accelerator)))


def _keys(session: Session, found: Sequence[Generation]) -> Iterator[str]:
    """Keys of evaluations: this run's, newest first, then those of other runs with this recipe and size."""
    paths, params = session.paths, session.params
    for generation in reversed(found):
        yield from _from_start(generation, params)
    baselines = stored_baselines(paths.run, paths.data, params.identity())
    yield from (entry.key for entry in (baselines.entries if baselines else ()))
    retrained = comparison_path(paths.run, "retrain", paths.data)
    with suppress(StarError):  # missing, or of no use
        yield from (entry.key for entry in read_comparison(retrained, paths.run, "retrain").entries)
    for path in _others(paths.data / "populations", paths.run):
        with suppress(StarError):
            other = read_generation(path)
            if as_fast(other.params(), params) and other.vocab_size == session.data.vocab_size:
                yield from _from_start(other, other.params())


def _from_start(generation: Generation, params: Params) -> Iterator[str]:
    """Keys of trainings that did not go on from a rung: their seconds are of all their steps."""
    rungs = rung_steps(params) if generation.index and not generation.is_fork else ()
    for individual in generation.born:
        if not rungs or individual.cost.tokens == params.training.tokens_until(rungs[0]):
            yield individual.key


def _others(folder: Path, run: str) -> list[Path]:
    files = [path for path in folder.glob("*/gen_*.json") if path.parent.name != run]
    return sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)


def as_fast(first: Params, second: Params) -> bool:
    """Whether steps by these parameters take the same time: recipe and sizes are equal where that matters."""
    recipes = ({name: getattr(params.training, name) for name in _SPEED} for params in (first, second))
    return next(recipes) == next(recipes) and (first.model, first.space.depth) == (
        second.model,
        second.space.depth,
    )
