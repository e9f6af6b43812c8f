"""What orchestration, start-up and I/O add to the training of candidates.

    python -m benchmarks.overhead [--params params.yaml]

Runs the default search in an empty project folder, the way `star evolve` does, and compares its wall
time, of which starting Prefect is a part, with the candidates' own training and validation time divided
by the number of workers. Then makes every generation again with all candidates in the store, and prints
the time of each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from star_core.config import load_params
from star_core.storage.evaluations import EvaluationStore

CACHED = """
import sys, time
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session
from star_flows.generation import make_generation
from prefect import flow

session = Session(RunPaths({root!r}, "main"))

@flow
def again():
    for index in range({generations} + 1):
        begin = time.perf_counter()
        make_generation(session, index)
        print("SECONDS", index, time.perf_counter() - begin, flush=True)

again()
"""


def held(pid: int) -> int:
    """Bytes a process and its descendants hold, shared pages counted once (PSS), where Linux tells."""
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return 0
    for process in family:
        with suppress(psutil.Error):
            total += getattr(process.memory_full_info(), "pss", 0)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", default="params.yaml")
    source = Path(parser.parse_args().params)
    params = load_params(source)
    workers = params.workers
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy(source, root / "params.yaml")
        star = str(Path(sys.executable).parent / "star")
        begin = time.perf_counter()
        search = subprocess.Popen([star, "evolve"], cwd=root, stdout=subprocess.DEVNULL)
        memory = 0
        while search.poll() is None:
            memory = max(memory, held(search.pid))
            time.sleep(2)
        wall = time.perf_counter() - begin
        if search.returncode:
            raise SystemExit(search.returncode)
        store = EvaluationStore(str(root / ".star/evaluations"))
        found = [store.get(path.stem) for path in (root / ".star/evaluations").glob("*/*.json")]
        seconds = [evaluation.seconds for evaluation in found if evaluation is not None]
        pure = sum(cost["training"] + cost.get("validation", 0.0) for cost in seconds if "training" in cost)
        print(f"candidates                         {len(seconds)}, {workers} at once")
        print(f"wall time of the evolution         {wall:8.1f} s")
        print(f"pure training / workers            {pure / workers:8.1f} s")
        print(
            f"orchestration, start-up, waiting   {100 * (1 - pure / workers / wall):8.1f} % of the wall time"
        )
        print(f"peak memory of all processes       {memory / 2**30:8.2f} GiB")
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
