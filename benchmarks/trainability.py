"""How many random architectures learn at all: deep ones, trained briefly by the default recipe.

    python -m benchmarks.trainability [--genomes 100] [--depth 24] [--width 64] [--steps 50] [--space paper]

Samples valid genomes of a search space, trains each in a process of its own and reports the share that
beats a unigram model (goal: at least 98 %) and the share that diverges (goal: at most 1 %). The unigram
model predicts every byte by its frequency in the training text, one added to each count; both are measured
on the same tokens. A candidate that crashes, runs out of memory or of time beats nothing. With the default
size it takes about a quarter of an hour on two cores.

With --storage, finished evaluations are kept in that folder: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.jobs import make_jobs, random_candidates, run_jobs
from star_core import SearchSpace
from star_core.config import Data, Model, Params, Runtime, Training
from star_core.datasets import TokenData, prepare
from star_core.evaluation import Evaluation, Job, is_final
from star_core.storage.evaluations import EvaluationStore
from star_core.training import CandidatePool
from star_core.training.data import validation_starts

BEATS_GOAL, DIVERGES_GOAL = 0.98, 0.01
LIMITS = Runtime(deadline_seconds=600, memory_mib=4096)
QUANTILES = {"best": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "worst": 1.0}


def main() -> None:
    arguments = parse()
    space = SearchSpace.preset(arguments.space, arguments.depth, arguments.groups)
    params = Params(
        model=Model(width=arguments.width), training=Training(steps=arguments.steps), runtime=LIMITS
    )
    with ExitStack() as stack:
        folder = Path(arguments.storage or stack.enter_context(tempfile.TemporaryDirectory()))
        data = prepare(Data(), folder / "tokens")
        candidates = random_candidates(space, arguments.genomes, arguments.seed)
        jobs = make_jobs(candidates, params, data, folder / "evaluations")
        unigram = unigram_loss(data, params.training)
        size = f"width {arguments.width}, {arguments.steps} steps"
        print(f"{len(jobs)} genomes of {space.depth} LIVs from {space.name!r}, {size}")
        print(f"unigram model: {unigram:.3f} nats per byte", flush=True)
        report(evaluate(jobs, params), unigram, arguments.worst)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genomes", type=int, default=100)
    parser.add_argument("--depth", type=int, default=24)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--space", default="paper", help="search-space preset")
    parser.add_argument("--groups", type=int, default=4, help="sharing indices")
    parser.add_argument("--seed", type=int, default=0, help="of the genomes")
    parser.add_argument("--worst", type=int, default=5, help="genomes to name")
    parser.add_argument("--storage", help="folder to keep data and finished evaluations in")
    return parser.parse_args()


def unigram_loss(data: TokenData, recipe: Training) -> float:
    """Nats per token of the training tokens' frequencies, on exactly the tokens candidates are scored on."""
    counts = np.bincount(data.train, minlength=data.vocab_size) + 1
    nats_V = -np.log(counts / counts.sum())
    starts = validation_starts(len(data.validation), recipe)
    predicted = data.validation[starts[:, None] + 1 + np.arange(recipe.sequence_length)]
    return float(nats_V[predicted].mean())


def evaluate(jobs: Mapping[str, Job], params: Params) -> dict[str, Evaluation]:
    """The outcome of every job: those of the store, and all others trained now, with a line for each."""
    found = stored(jobs, params.runtime)
    if found:
        print(f"{len(found)} of them are stored already")
    missing = {name: job for name, job in jobs.items() if name not in found}
    workers, began, before = (
        params.workers,
        time.perf_counter(),
        len(found),
    )
    limits = params.runtime
    with CandidatePool(workers, limits.deadline_seconds, limits.memory_mib) as pool:
        for finished in run_jobs(pool, missing, workers):
            found[finished.name] = finished.evaluation
            done = len(found) - before
            left = (time.perf_counter() - began) / done * (len(missing) - done)
            print(
                f"{len(found):4}/{len(jobs)}  {finished.name:<12}{outcome(finished.evaluation):<16}"
                f"{finished.ended - finished.asked:6.1f} s   {left / 60:5.1f} min left",
                flush=True,
            )
    return found


def stored(jobs: Mapping[str, Job], limits: Runtime) -> dict[str, Evaluation]:
    """Evaluations that need not be made again."""
    found = {name: EvaluationStore(job.storage).get(job.key) for name, job in jobs.items()}
    return {name: result for name, result in found.items() if result is not None and is_final(result, limits)}


def outcome(evaluation: Evaluation) -> str:
    """The loss, or how the training failed."""
    return f"{loss_of(evaluation):.3f}" if evaluation.status == "ok" else evaluation.status


def loss_of(evaluation: Evaluation) -> float:
    """Validation loss, nats per token; infinite if there is none."""
    return evaluation.metrics.get("validation_loss", float("inf"))


def report(found: Mapping[str, Evaluation], unigram: float, worst: int) -> None:
    """Prints shares, quantiles and the worst genomes."""
    total, statuses = len(found), Counter(evaluation.status for evaluation in found.values())
    beats = sum(loss_of(evaluation) < unigram for evaluation in found.values())
    print()
    print_share("beat the unigram model", beats, total, beats >= BEATS_GOAL * total, f"≥ {BEATS_GOAL:.0%}")
    diverged = statuses["diverged"]
    met = diverged <= DIVERGES_GOAL * total
    print_share("diverged", diverged, total, met, f"≤ {DIVERGES_GOAL:.0%}")
    for status in sorted(set(statuses) - {"ok", "diverged"}):
        print_share(status.replace("_", " "), statuses[status], total)
    print_quantiles([loss_of(evaluation) for evaluation in found.values() if evaluation.status == "ok"])
    print("\nworst")
    order = sorted(found, key=lambda name: (-loss_of(found[name]), name))
    for name in order[:worst]:
        evaluation = found[name]
        print(f"  {name:<12}{outcome(evaluation):<16}{evaluation.detail}".rstrip())
        print(f"    {evaluation.genome}")


def print_share(what: str, count: int, total: int, met: bool | None = None, goal: str = "") -> None:
    """One line: a share, and whether its goal is met."""
    verdict = "" if met is None else f"   goal {goal}: {'met' if met else 'MISSED'}"
    print(f"{what:<24}{count:4} of {total}  {100 * count / total:5.1f} %{verdict}")


def print_quantiles(losses: Sequence[float]) -> None:
    """The distribution of the losses of those that finished."""
    if losses:
        print("\nnats per byte " + "".join(f"{label:>8}" for label in QUANTILES))
        print(" " * 14 + "".join(f"{value:8.3f}" for value in np.quantile(losses, [*QUANTILES.values()])))


if __name__ == "__main__":
    main()
