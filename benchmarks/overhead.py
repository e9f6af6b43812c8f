"""What orchestration, start-up and I/O add to the training of candidates.

    python -m benchmarks.overhead [--params params.yaml]

Runs the default search in an empty project folder, the way `star evolve` does, and compares its wall
time with the candidates' own training and validation time divided by the number of workers. Then makes
every generation again with all candidates in the store, and prints the time of each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from star_core.config import load_params
from star_core.population.store import EvaluationStore
from star_core.training.devices import default_workers

CACHED = """
import sys, time
from flows.display import display
from flows.session import Where
from flows.generation import generation, make_generation
from prefect import flow

where = Where({root!r}, "main")

@flow
def again():
    for index in range({generations} + 1):
        begin = time.perf_counter()
        make_generation(where, index)
        print("SECONDS", index, time.perf_counter() - begin, flush=True)

display.console.quiet = True
again()
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", default="params.yaml")
    source = Path(parser.parse_args().params)
    params = load_params(source)
    workers = params.runtime.workers or default_workers(params.training)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy(source, root / "params.yaml")
        star = str(Path(sys.executable).parent / "star")
        begin = time.perf_counter()
        subprocess.run([star, "evolve"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - begin
        store = EvaluationStore(str(root / ".star/evaluations"))
        found = [store.get(path.stem) for path in (root / ".star/evaluations").glob("*/*.json")]
        seconds = [one.seconds for one in found if one is not None]
        pure = sum(one["training"] + one.get("validation", 0.0) for one in seconds if "training" in one)
        print(f"candidates                         {len(seconds)}, {workers} at once")
        print(f"wall time of the evolution         {wall:8.1f} s")
        print(f"pure training / workers            {pure / workers:8.1f} s")
        print(
            f"orchestration, start-up, waiting   {100 * (1 - pure / workers / wall):8.1f} % of the wall time"
        )
        shutil.rmtree(root / "data/populations")
        program = CACHED.format(root=str(root), generations=params.generations)
        output = subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
            env=dict(os.environ),
        ).stdout
        again = [line.split()[1:] for line in output.splitlines() if line.startswith("SECONDS")]
        for index, value in again:
            print(f"generation {index} with all candidates stored {float(value):5.2f} s")


if __name__ == "__main__":
    main()
