"""How a search grows: with workers, with the cluster between them, and with the population.

    python -m benchmarks.scaling [--parts workers,orchestration,generations] [--rounds 3]

- workers: candidates an hour of the default recipe with one and with two processes of one thread, the same
  candidates in turn (goal on two cores: at least 1.8 times as many);
- orchestration: what a candidate takes beyond its own seconds when a flow hands it out, locally, on Ray
  and on Dask (those that are installed): two generations of 16 tiny candidates after a first one;
- generations: vary, select, write and read of populations of 16, 256 and 4096 without training (goal: the
  cost grows no worse than n log n, and 4096 individuals take less than ten seconds).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import yaml

from benchmarks.jobs import baselines, make_jobs, random_candidates, run_jobs
from star_core import SearchSpace
from star_core.config import Params, load_params
from star_core.datasets import prepare
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.evolution.step import assess, offspring_of, select
from star_core.genome.backbone import Genome
from star_core.population.generation import Generation, read_generation
from star_core.training import CandidatePool

SPEED_UP_GOAL, SECONDS_GOAL = 1.8, 10.0
SIZES = (16, 256, 4096)
DIGEST = "0" * 64
TINY = {
    "generations": 2,
    "space": {"depth": 3},
    "model": {"width": 16},
    "training": {
        "steps": 3,
        "batch_size": 2,
        "sequence_length": 32,
        "validation_tokens": 256,
        "warmup_steps": 1,
    },
    "evolution": {"population": 16},
}
GENERATIONS = """
import json, sys, time
from star_flows.run.context import at_work
from star_flows.run.display import Display
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session

session = Session(RunPaths({root!r}, "main"), display=Display())
session.data
with at_work(session):
    from star_flows.generation import make_generation
    for index in range(3):
        began = time.perf_counter()
        make_generation(session, index)
        print("SECONDS", index, time.perf_counter() - began, flush=True)
"""


def workers(rounds: int) -> None:
    """Candidates an hour with one and two processes."""
    params = load_params("params.yaml")
    space = SearchSpace.preset(params.space.preset, params.space.depth, params.space.groups)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(params.data, Path(folder) / "tokens")
        candidates = baselines(params.space.depth) + random_candidates(space, 6)
        for turn in range(rounds):
            for count in (1, 2) if turn % 2 == 0 else (2, 1):
                jobs = make_jobs(candidates, params, data, Path(folder) / f"store-{turn}-{count}")
                with CandidatePool(count, 900, 4096) as pool:
                    warm = make_jobs(candidates[:1], params, data, Path(folder) / f"warm-{turn}-{count}")
                    list(run_jobs(pool, warm, 1))
                    began = time.perf_counter()
                    finished = list(run_jobs(pool, jobs, count))
                    rates[count].append(3600 * len(finished) / (time.perf_counter() - began))
                print(f"  {count} at once   {rates[count][-1]:7.0f} candidates an hour", flush=True)
    speed_ups = [double / single for single, double in zip(rates[1], rates[2], strict=True)]
    met = "met" if median(speed_ups) >= SPEED_UP_GOAL else "MISSED"
    print(
        f"two workers are as fast as one, times {median(speed_ups):.2f} "
        f"({min(speed_ups):.2f} to {max(speed_ups):.2f})   goal ≥ {SPEED_UP_GOAL}: {met}\n"
    )


def orchestration(_rounds: int) -> None:
    """What each runner adds to a candidate."""
    for runner in ("local", "ray", "dask"):
        if runner != "local" and importlib.util.find_spec(f"prefect_{runner}") is None:
            print(f"  {runner:<6} not installed")
            continue
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            (root / "text.txt").write_text(
                "\n".join(f"{a} and {b}: {a * b}." for a in range(40) for b in range(40))
            )
            settings = {**TINY, "data": {"source": "text.txt"}, "runtime": {"runner": runner, "workers": 2}}
            (root / "params.yaml").write_text(yaml.safe_dump(settings))
            seconds = _own_seconds(root)
            print(f"  {runner:<6} {seconds}")


def _own_seconds(root: Path) -> str:
    star = str(Path(sys.executable).parent / "star")
    subprocess.run([star, "prepare"], cwd=root, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(
        [sys.executable, "-c", GENERATIONS.format(root=str(root))],
        cwd=root, capture_output=True, text=True, env=dict(os.environ), check=False,
    )  # fmt: skip
    walls = [float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("SECONDS")]
    if len(walls) != 3:
        return f"failed: {done.stderr.strip().splitlines()[-1:]}"
    own, count = 0.0, 0
    for index in (1, 2):
        for individual in read_generation(root / f"data/populations/main/gen_{index:03d}.json").born:
            path = root / ".star/evaluations" / individual.key[:2] / f"{individual.key}.json"
            own += json.loads(path.read_text())["seconds"]["total"]
            count += 1
    added = (2 * sum(walls[1:]) - own) / count
    return (
        f"{1000 * added:6.0f} ms of a worker's time a candidate beyond its own {1000 * own / count:.0f} ms; "
        f"first generation {walls[0]:.1f} s, later ones {walls[1]:.1f} and {walls[2]:.1f} s"
    )


@dataclass
class Step:
    """Seconds of the parts of one generation."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, name: str, work: Callable[[], object]) -> object:
        """Runs ``work`` and adds its time."""
        began = time.perf_counter()
        result = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
        return result


def pretended(digest: str, genome: str, tokens: int) -> Evaluation:
    """An evaluation that was never made; its loss is a hash of the architecture."""
    loss = 1.5 + int(digest[:8], 16) / 2**32
    return Evaluation(DIGEST, digest, genome, "ok", {"validation_loss": loss}, "", tokens, 1, {}, {}, {}, "")


def one_generation(problem: Problem, parent: Generation | None, folder: Path) -> tuple[Generation, Step]:
    """Makes a generation from pretended evaluations, and times it."""
    step = Step()
    offspring = step.time("vary", lambda: offspring_of(problem, parent))
    assert isinstance(offspring, list)
    assessed = [
        assess(
            problem,
            child,
            problem.compile(Genome.parse(child.genome)),
            pretended(child.digest, child.genome, 1),
            DIGEST,
        )
        for child in offspring
    ]
    made = step.time("select", lambda: select(problem, "bench", parent, assessed, DIGEST))
    assert isinstance(made, Generation)
    path = folder / f"gen_{made.index:03d}.json"
    step.time("write", lambda: made.write(path))
    step.time("read", lambda: read_generation(path))
    return made, step


def generations(rounds: int) -> None:
    """Vary, select, write, read by population size."""
    totals = {}
    print(f"{'individuals':>12}{'vary':>9}{'select':>9}{'write':>9}{'read':>9}{'all':>9}   files a second")
    for size in SIZES:
        problem = Problem(Params.model_validate({"evolution": {"population": size}}), 256)
        steps = []
        with tempfile.TemporaryDirectory() as folder:
            parent, _ = one_generation(problem, None, Path(folder))
            for _ in range(rounds):
                parent, step = one_generation(problem, parent, Path(folder))
                steps.append(step.seconds)
        middle = {name: median(step[name] for step in steps) for name in steps[0]}
        totals[size] = sum(middle.values())
        print(
            f"{size:>12}" + "".join(f"{middle[name]:>9.3f}" for name in ("vary", "select", "write", "read"))
            + f"{totals[size]:>9.3f}   {1 / totals[size]:.2f}",
            flush=True,
        )  # fmt: skip
    growth = totals[4096] / totals[256]
    bound = (4096 * math.log(4096)) / (256 * math.log(256))
    print(f"256 → 4096: {growth:.1f} times the time, n log n is {bound:.1f}: "
          + ("met" if growth <= bound else "MISSED"))  # fmt: skip
    print(f"4096 individuals: {totals[4096]:.1f} s   goal < {SECONDS_GOAL:g} s: "
          + ("met" if totals[4096] < SECONDS_GOAL else "MISSED"))  # fmt: skip


PARTS = {"workers": workers, "orchestration": orchestration, "generations": generations}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for part in arguments.parts.split(","):
        print(f"{part}\n")
        PARTS[part](arguments.rounds)


if __name__ == "__main__":
    main()
