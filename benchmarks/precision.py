"""Whether bfloat16 saves time and keeps the order of candidates.

    python -m benchmarks.precision [--width 256] [--genomes 14] [--steps 60]

Trains the two baselines and random genomes of the default search space in float32 and with precision: bf16,
one after the other in a pool of one process, so that nothing else runs beside them, and prints losses,
seconds of training, their ratio, and the rank correlation (Kendall's τ) of the two lists of losses beside
that of float32 with another seed: how much of the order is luck anyway.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

from benchmarks.jobs import Finished, baselines, make_jobs, random_candidates, run_jobs
from star_core import SearchSpace
from star_core.config import Data, Model, Params, Training
from star_core.datasets import prepare
from star_core.training import CandidatePool

RECIPES = {"fp32": {}, "bf16": {"precision": "bf16"}, "fp32, seed 1": {"seed": 1}}


def kendall(losses: Sequence[float], other: Sequence[float]) -> float:
    """τ-a: the share of pairs in the same order less the share in the opposite one."""
    signs = [
        ((a > b) - (a < b)) * ((x > y) - (x < y))
        for (a, x), (b, y) in combinations(list(zip(losses, other, strict=True)), 2)
    ]
    return sum(signs) / len(signs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--genomes", type=int, default=14)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    space = SearchSpace.preset("paper")
    recipes = {
        name: Params(
            model=Model(width=arguments.width),
            training=Training(accelerator="cpu", steps=arguments.steps, **changes),
        )
        for name, changes in RECIPES.items()
    }
    rows: dict[str, dict[str, Finished]] = {}
    with tempfile.TemporaryDirectory() as folder, CandidatePool(1, 1800, 8192) as pool:
        data = prepare(Data(), Path(folder) / "tokens")
        print(f"{'nats per byte':<16}" + "".join(f"{name:>14}" for name in recipes) + f"{'speed-up':>11}")
        for candidate in baselines(space.depth) + random_candidates(space, arguments.genomes):
            jobs = {}
            for name, params in recipes.items():
                made = make_jobs([candidate], params, data, Path(folder) / "evaluations")
                jobs[name] = made[candidate.name]
            row = {finished.name: finished for finished in run_jobs(pool, jobs, 1)}
            print(f"{candidate.name:<16}" + line_of(row), flush=True)
            if all(finished.loss is not None for finished in row.values()):
                rows[candidate.name] = row
    losses = {name: [row[name].loss or 0.0 for row in rows.values()] for name in recipes}
    print(f"\nspeed-up of training, median   {median(map(speed_up, rows.values())):.2f}x")
    print(f"Kendall's τ, fp32 and bf16     {kendall(losses['fp32'], losses['bf16']):.2f}")
    print(f"Kendall's τ, fp32, two seeds   {kendall(losses['fp32'], losses['fp32, seed 1']):.2f}")


def line_of(row: dict[str, Finished]) -> str:
    """Losses, or how the training failed, and the speed-up."""
    cells = [
        f"{finished.evaluation.status:>14}" if finished.loss is None else f"{finished.loss:14.4f}"
        for finished in (row[name] for name in RECIPES)
    ]
    ok = all(finished.loss is not None for finished in row.values())
    return "".join(cells) + (f"{speed_up(row):10.2f}x" if ok else "")


def speed_up(row: dict[str, Finished]) -> float:
    """Seconds of training in float32 per second in bfloat16."""
    seconds = {name: finished.evaluation.seconds["training"] for name, finished in row.items()}
    return seconds["fp32"] / seconds["bf16"]


if __name__ == "__main__":
    main()
