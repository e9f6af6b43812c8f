"""Which peak learning rate suits small widths: the default recipe at several rates, side by side.

    python -m benchmarks.learning_rate [--width 64] [--genomes 4]

Trains the two baselines and random genomes of the default search space at the paper's rate (8e-4, for
width 768) times 1, √(768 / width), 768 / width and twice that, and prints validation losses in nats per byte.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.jobs import Finished, baselines, make_jobs, random_candidates, run_jobs
from star_core import SearchSpace
from star_core.config import Data, Model, Params, Training
from star_core.datasets import prepare
from star_core.machine import default_workers
from star_core.training import CandidatePool


def cell(finished: Finished) -> str:
    """The loss, or how the training failed."""
    return f"{finished.evaluation.status:>11}" if finished.loss is None else f"{finished.loss:11.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--genomes", type=int, default=4)
    arguments = parser.parse_args()
    space = SearchSpace.preset("paper")
    ratio = 768 / arguments.width
    rates = {"8e-4": 8e-4, "× √": 8e-4 * ratio**0.5, "× ratio": 8e-4 * ratio, "× 2 ratio": 16e-4 * ratio}
    recipes = {
        label: Params(
            model=Model(width=arguments.width), training=Training(learning_rate=rate, accelerator="cpu")
        )
        for label, rate in rates.items()
    }
    workers = default_workers("cpu", threads=1)
    with tempfile.TemporaryDirectory() as folder, CandidatePool(workers, 600, 4096) as pool:
        data = prepare(Data(), Path(folder) / "tokens")
        print(f"{'nats per byte':<16}" + "".join(f"{label:>11}" for label in rates))
        for candidate in baselines(space.depth) + random_candidates(space, arguments.genomes):
            jobs = {}
            for label, params in recipes.items():
                made = make_jobs([candidate], params, data, Path(folder) / "evaluations")
                jobs[label] = made[candidate.name]
            row = {finished.name: cell(finished) for finished in run_jobs(pool, jobs, workers)}
            print(f"{candidate.name:<16}" + "".join(row[label] for label in rates), flush=True)


if __name__ == "__main__":
    main()
