"""How fast candidates are trained: ours against a plain Lightning loop, and what is not pure compute.

    python -m benchmarks.candidates [--params params.yaml] [--genomes 8] [--rounds 3] [--steps N]

Trains the two baselines and random genomes by the recipe of the parameter file in three ways, each timed
from nothing to the last loss:

- ours: a process per candidate, as many at once as there are cores, one thread each;
- plain: one process that imports Lightning and trains one genome after another with a Trainer that logs,
  shows and keeps nothing, with as many threads as torch takes by itself (goal: ours is at least twice as
  fast on two cores, with the same losses);
- the same with one thread, whose losses should be ours to the last bit.

Then every genome is trained in the pool once more and, right after that in the same process and with the
other workers as busy, by a bare loop: forward, backward, clipping and optimiser on tensors that are ready.
What a candidate takes beyond that is the share that is not forward, backward or optimiser (goal: at most
15 %); validation counts as such, although it is mostly forward passes, so its bare time is printed too. The
bare loop runs in a warm process and the candidate in a fresh one: what the first steps of a process cost
more counts as overhead. Starting the pool, once a search, and its idle places at the end are in the wall
time above, not in the shares. All is repeated --rounds times, every other round in reverse order.

Two threads of one process wait for each other at every operation, by spinning: whatever else runs on the
machine slows them down out of proportion, tenfold and more. How many cores others used is therefore printed
beside each pass, and rounds in which that was more than a quarter of one are not compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil

from benchmarks.jobs import baselines, make_jobs, random_candidates, run_jobs
from benchmarks.plain_loop import plain_lines
from benchmarks.shares import Setting, measure_shares, report_shares, stored_at, verdict
from star_core import SearchSpace
from star_core.config import Params, load_params
from star_core.datasets import TokenData, prepare
from star_core.evaluation import Job
from star_core.training import CandidatePool
from star_core.training.processes.wire import encode_job

FASTER_GOAL = 2.0
TOLERANCE = 0.01
"""Nats per token that rounding may move a loss by: more threads add up in another order."""
QUIET = 0.25
"""Cores that others may use in a pass that is compared."""
OURS, PLAIN, PLAIN_ONE, SHARES = "ours", "plain loop", "plain loop, 1 thread", "shares"
WAYS = (OURS, PLAIN, PLAIN_ONE, SHARES)


@dataclass(frozen=True)
class Pass:
    """All genomes trained once, in one way.

    Attributes:
        wall: Seconds from nothing to the last loss.
        start: Seconds of that before the first training: Python, torch and Lightning.
        layout: Processes and threads, for people.
        losses: Validation losses by genome, nats per token; ``None``: it failed.
        others: Cores that other programs used meanwhile.
    """

    wall: float
    start: float
    layout: str
    losses: Mapping[str, float | None]
    others: float = 0.0

    @property
    def per_minute(self) -> float:
        """Candidates per minute."""
        return 60 * len(self.losses) / self.wall

    @property
    def per_minute_running(self) -> float:
        """Candidates per minute once everything has started."""
        return 60 * len(self.losses) / (self.wall - self.start)


def main() -> None:
    arguments = parse()
    params = one_thread_on_cpu(load_params(arguments.params), arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(params.data, Path(folder) / "tokens")
        jobs = choose(params, data, arguments.genomes)
        setting = Setting(jobs, params, params.workers, Path(folder))
        recipe = params.training
        print(f"{len(jobs)} genomes, {recipe.steps} steps of {recipe.batch_size} × {recipe.sequence_length}")
        passes: dict[str, list[Pass]] = {OURS: [], PLAIN: [], PLAIN_ONE: []}
        shares: list[dict[str, float]] = []
        for number in range(arguments.rounds):
            print(f"\nround {number + 1}", flush=True)
            for way in WAYS[:: -1 if number % 2 else 1]:
                if way == SHARES:
                    shares += measure_shares(setting, number)
                else:
                    passes[way].append(measure(way, setting, number))
                    print(f"  {way:<22}{describe(passes[way][-1])}", flush=True)
        report_speed(passes)
        report_losses(passes)
        report_shares(shares, setting.workers)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", default="params.yaml")
    parser.add_argument("--genomes", type=int, default=8, help="of these two are the baselines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="other than the parameter file's")
    return parser.parse_args()


def one_thread_on_cpu(params: Params, steps: int | None) -> Params:
    """The parameters with a recipe for one thread of a CPU, which is what is compared here."""
    changes = {"accelerator": "cpu", "threads": 1} | ({} if steps is None else {"steps": steps})
    return params.model_copy(update={"training": params.training.model_copy(update=changes)})


def choose(params: Params, data: TokenData, count: int) -> dict[str, Job]:
    """Jobs of the baselines and of random genomes, ``count`` in all."""
    section = params.space
    space = SearchSpace.preset(section.preset, section.depth, section.groups)
    fixed = baselines(section.depth)
    candidates = fixed + random_candidates(space, count - len(fixed))
    return make_jobs(candidates[:count], params, data, "")


def measure(way: str, setting: Setting, number: int) -> Pass:
    """One pass; ``number`` is that of the round."""
    foreign, begin = foreign_seconds(), time.perf_counter()
    if way == OURS:
        found = measure_ours(setting, number)
    else:
        found = measure_plain(setting, None if way == PLAIN else 1)
    return replace(found, others=(foreign_seconds() - foreign) / (time.perf_counter() - begin))


def measure_ours(setting: Setting, number: int) -> Pass:
    """All genomes through the pool, its start included."""
    jobs, runtime = stored_at(setting.jobs, setting.folder / f"ours-{number}"), setting.params.runtime
    begin = time.perf_counter()
    with CandidatePool(setting.workers, runtime.deadline_seconds, runtime.memory_mib) as pool:
        found = list(run_jobs(pool, jobs, setting.workers))
        wall = time.perf_counter() - begin
    for finished in found:
        if finished.evaluation.status not in ("ok", "diverged"):
            raise SystemExit(f"{finished.name}: {finished.evaluation.status}, {finished.evaluation.detail}")
    start = min(finished.began for finished in found) - begin
    losses = {finished.name: finished.loss for finished in found}
    return Pass(wall, start, f"{setting.workers} processes × 1 thread", losses)


def measure_plain(setting: Setting, threads: int | None) -> Pass:
    """All genomes in one fresh process; ``None`` leaves the number of threads to torch."""
    request = {"threads": threads, "jobs": {name: encode_job(job) for name, job in setting.jobs.items()}}
    begin = time.perf_counter()
    start, used, losses = 0.0, 0, {}
    for line in plain_lines(json.dumps(request)):
        if "threads" in line:
            start, used = time.perf_counter() - begin, line["threads"]
        else:
            losses[line["name"]] = line["loss"]
            wall = time.perf_counter() - begin
    return Pass(wall, start, f"1 process × {used} thread{'s' * (used > 1)}", losses)


def foreign_seconds() -> float:
    """CPU seconds this machine has spent on anything but this program and its children that ended."""
    times = psutil.cpu_times()
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    spent: float = times.user + times.system + getattr(times, "nice", 0.0)
    return spent - sum(usage.ru_utime + usage.ru_stime for usage in own)


def describe(run: Pass) -> str:
    """A line for a pass."""
    return (
        f"{run.layout:<24}{run.wall:7.1f} s, start {run.start:4.1f} s"
        f"{run.per_minute:8.2f} candidates a minute, running {run.per_minute_running:.2f};"
        f" others used {abs(run.others):.2f} cores"
    )


def report_speed(passes: Mapping[str, Sequence[Pass]]) -> None:
    """Ours against each plain loop of the same round, over the rounds in which the machine was quiet."""
    print("\nours is as fast as the others, times (median and range over quiet rounds)")
    for way in (PLAIN, PLAIN_ONE):
        pairs = [
            (ours, other)
            for ours, other in zip(passes[OURS], passes[way], strict=True)
            if max(ours.others, other.others) <= QUIET
        ]
        if not pairs:
            print(f"  {way:<22}no round to compare: other programs used more than {QUIET:g} cores")
            continue
        all_in = [ours.per_minute / other.per_minute for ours, other in pairs]
        running = [ours.per_minute_running / other.per_minute_running for ours, other in pairs]
        goal = verdict(median(all_in) >= FASTER_GOAL, f"≥ {FASTER_GOAL:g}") if way == PLAIN else ""
        print(f"  {way:<22}{spread(all_in)}, {len(pairs)} rounds; without starts {spread(running)}{goal}")


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def report_losses(passes: Mapping[str, Sequence[Pass]]) -> None:
    """The losses of ours, and how far any pass of the others was from them."""
    ours = passes[OURS][0].losses
    furthest = {
        way: {name: max(distance(run.losses[name], loss) for run in found) for name, loss in ours.items()}
        for way, found in passes.items()
    }
    print(f"\n{'nats per token':<18}{OURS:>10}" + "".join(f"{way:>24}" for way in (PLAIN, PLAIN_ONE)))
    for name, loss in ours.items():
        cells = "".join(f"{furthest[way][name]:>+24.2g}" for way in (PLAIN, PLAIN_ONE))
        print(f"{name:<18}{'failed' if loss is None else f'{loss:.4f}':>10}{cells}")
    largest = {way: max(values.values()) for way, values in furthest.items()}
    print(f"ours, every round            {verdict(largest[OURS] == 0, 'same bits')}")
    print(f"{PLAIN_ONE:<29}{verdict(largest[PLAIN_ONE] == 0, 'same bits')}")
    print(f"{PLAIN:<29}{verdict(largest[PLAIN] <= TOLERANCE, f'within {TOLERANCE:g}')}")


def distance(loss: float | None, other: float | None) -> float:
    """How far two losses are apart; infinite if only one of the two trainings failed."""
    if loss is None or other is None:
        return 0.0 if loss is other else float("inf")
    return abs(loss - other)


if __name__ == "__main__":
    main()
