"""Which peak learning rate suits small widths: the default recipe at several rates, side by side.

    python -m benchmarks.learning_rate [--width 64] [--genomes 4]

Trains the two baselines and random genomes of the default search space at the paper's rate (8e-4, for
width 768) times 1, √(768 / width), 768 / width and twice that, and prints validation losses in nats per byte.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from star_core import SearchSpace, compile_genome
from star_core.config import Data, Model, Params, Training
from star_core.datasets.prepare import prepare
from star_core.evaluation import Evaluation, Job, evaluation_key
from star_core.genome.baselines import PATTERNS, baseline
from star_core.training import CandidatePool, default_workers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--genomes", type=int, default=4)
    arguments = parser.parse_args()
    space, rng = SearchSpace.preset("paper"), np.random.default_rng(0)
    genomes = {name: baseline(name, space.depth) for name in PATTERNS}
    genomes |= {f"random {index}": space.sample(rng) for index in range(arguments.genomes)}
    ratio = 768 / arguments.width
    rates = {"8e-4": 8e-4, "× √": 8e-4 * ratio**0.5, "× ratio": 8e-4 * ratio, "× 2 ratio": 16e-4 * ratio}
    with (
        tempfile.TemporaryDirectory() as folder,
        CandidatePool(default_workers(Training()), 600, 4096) as pool,
    ):
        data = prepare(Data(), Path(folder) / "tokens")

        def loss(name: str, rate: float) -> Evaluation:
            params = Params(
                model=Model(width=arguments.width), training=Training(learning_rate=rate, accelerator="cpu")
            )
            digest = compile_genome(genomes[name], space, arguments.width).digest
            job = Job(
                genome=str(genomes[name]),
                space="paper",
                model=params.model,
                training=params.training,
                data=str(data.folder),
                data_digest=data.digest,
                digest=digest,
                key=evaluation_key(digest, params, data.digest),
                storage=str(Path(folder) / "evaluations"),
            )
            return pool.run(job)

        with ThreadPoolExecutor(16) as threads:
            found = {
                (name, label): threads.submit(loss, name, rate)
                for name in genomes
                for label, rate in rates.items()
            }
            print(f"{'nats per byte':<16}" + "".join(f"{label:>11}" for label in rates))
            for name in genomes:
                cells = []
                for label in rates:
                    one = found[name, label].result()
                    cells.append(
                        f"{one.metrics['validation_loss']:11.3f}" if one.metrics else f"{one.status:>11}"
                    )
                print(f"{name:<16}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
