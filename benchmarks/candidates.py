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
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.jobs import Finished, baselines, make_jobs, random_candidates, run_jobs
from star_core import Genome, SearchSpace, compile_genome
from star_core.config import Params, load_params
from star_core.datasets import TokenData, load_tokens, prepare
from star_core.evaluation import Evaluation, Job
from star_core.genome.tables import MAX_GROUPS
from star_core.training import CandidatePool, default_workers
from star_core.training.candidate import decode_job, encode_job

if TYPE_CHECKING:
    from star_core.training.data import TokenModule
    from star_core.training.module import LanguageModelTraining

FASTER_GOAL, OVERHEAD_GOAL = 2.0, 0.15
TOLERANCE = 0.01
"""Nats per token that rounding may move a loss by: more threads add up in another order."""
QUIET = 0.25
"""Cores that others may use in a pass that is compared."""
OURS, PLAIN, PLAIN_ONE, SHARES = "ours", "plain loop", "plain loop, 1 thread", "shares"
WAYS = (OURS, PLAIN, PLAIN_ONE, SHARES)
COMPUTE = ("forward", "backward", "clip and optimiser")
PARTS = (
    *COMPUTE,
    "Lightning and data, training",
    "forward, validation",
    "Lightning and data, validation",
    "set-up: data, model, trainer",
    "process: start, store, report, end",
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_RESULT = "RESULT "
_PLAIN_PROCESS = "from benchmarks.candidates import plain_process; plain_process()"


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


@dataclass(frozen=True)
class Setting:
    """What all passes have in common."""

    jobs: Mapping[str, Job]
    params: Params
    workers: int
    folder: Path


def main() -> None:
    arguments = parse()
    params = one_thread_on_cpu(load_params(arguments.params), arguments.steps)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(params.data, Path(folder) / "tokens")
        jobs = choose(params, data, arguments.genomes)
        setting = Setting(jobs, params, default_workers(params.training), Path(folder))
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


def stored_at(jobs: Mapping[str, Job], folder: Path) -> dict[str, Job]:
    """The jobs with a store of their own, so that nothing is found in it."""
    return {name: replace(job, storage=str(folder)) for name, job in jobs.items()}


def measure_ours(setting: Setting, number: int) -> Pass:
    """All genomes through the pool, its start included."""
    jobs, runtime = stored_at(setting.jobs, setting.folder / f"ours-{number}"), setting.params.runtime
    begin = time.perf_counter()
    with CandidatePool(setting.workers, runtime.deadline_seconds, runtime.memory_mib) as pool:
        found = list(run_jobs(pool, jobs, setting.workers))
        wall = time.perf_counter() - begin
    for one in found:
        if one.evaluation.status not in ("ok", "diverged"):
            raise SystemExit(f"{one.name}: {one.evaluation.status}, {one.evaluation.detail}")
    start = min(one.began for one in found) - begin
    losses = {one.name: one.loss for one in found}
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


def plain_lines(request: str) -> Iterator[dict[str, Any]]:
    """What ``plain_process`` reports, line by line, from a process with torch's own settings."""
    environment = {name: value for name, value in os.environ.items() if name not in _THREADS}
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [sys.executable, "-c", _PLAIN_PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            cwd=Path(__file__).parents[1],
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request)
        process.stdin.close()
        for line in process.stdout:
            if line.startswith(_RESULT):
                yield json.loads(line.removeprefix(_RESULT))
        if process.wait():
            complaints.seek(0)
            raise SystemExit(complaints.read())


def plain_process() -> None:
    """The process of the plain loop: jobs from standard input, results to standard output."""
    request = json.load(sys.stdin)
    import torch

    import star_core.models
    import star_core.training.data
    import star_core.training.module  # noqa: F401

    if request["threads"] is not None:
        torch.set_num_threads(request["threads"])
    say({"threads": torch.get_num_threads()})
    for name, job in request["jobs"].items():
        say({"name": name, "loss": plain_training(decode_job(job))})


def say(result: Mapping[str, Any]) -> None:
    """Tells the parent process."""
    print(_RESULT + json.dumps(result), flush=True)


def plain_training(job: Job) -> float | None:
    """What one would write without this project's processes: the loss, or ``None`` if it diverged."""
    from lightning.pytorch import Trainer

    from star_core.training.outcome import Diverged

    module, batches = assemble(job)
    trainer = Trainer(
        accelerator="cpu",
        precision="bf16-mixed" if job.training.precision == "bf16" else "32-true",
        max_epochs=1,
        gradient_clip_val=job.training.clip,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, train_dataloaders=batches.train_dataloader())
        trainer.validate(module, dataloaders=batches.val_dataloader(), verbose=False)
    except Diverged:
        return None
    return module.validation_loss


def assemble(job: Job) -> tuple[LanguageModelTraining, TokenModule]:
    """A job's model, ready to be trained, and its batches."""
    from star_core.models import build_model
    from star_core.training.data import TokenModule
    from star_core.training.module import LanguageModelTraining

    data, recipe = load_tokens(job.data), job.training
    space = SearchSpace.preset(job.space, groups=MAX_GROUPS)
    genome = Genome.parse(job.genome)
    spec = compile_genome(genome, space, job.model.width, job.model.head_dim, data.vocab_size)
    model = build_model(spec, seed=recipe.seed)
    return LanguageModelTraining(model, recipe, recipe.peak_rate(spec.width)), TokenModule(data, recipe)


def measure_shares(setting: Setting, number: int) -> list[dict[str, float]]:
    """Seconds by part of every candidate that could be trained."""
    jobs, runtime = stored_at(setting.jobs, setting.folder / f"shares-{number}"), setting.params.runtime
    short = setting.params.training.model_copy(update={"steps": 1})
    first = next(iter(jobs.values()))
    with CandidatePool(
        setting.workers,
        3 * runtime.deadline_seconds,
        runtime.memory_mib,
        preload=("star_core.training.fit", "star_core.training.candidate", "benchmarks.candidates"),
        target="benchmarks.candidates:train_then_bare",
    ) as pool:
        # The server is running after this, so that no candidate waits for it.
        pool.run(replace(first, training=short, key="0" * 64))
        found = list(run_jobs(pool, jobs, setting.workers))
    for one in found:
        if "bare" not in one.evaluation.seconds:
            print(f"  {one.name} has no shares: {one.evaluation.status} {one.evaluation.detail}")
    return [parts_of(one) for one in found if "bare" in one.evaluation.seconds]


def parts_of(one: Finished) -> dict[str, float]:
    """Where a candidate's wall time went, without the bare loop that came after it."""
    seconds = one.evaluation.seconds
    whole = one.ended - one.asked - seconds["bare"]
    inside = seconds["setup"] + seconds["training"] + seconds["validation"]
    compute = [seconds[part] for part in COMPUTE]
    values = (
        *compute,
        seconds["training"] - sum(compute),
        seconds["forward, validation"],
        seconds["validation"] - seconds["forward, validation"],
        seconds["setup"],
        whole - inside,
    )
    return dict(zip(PARTS, values, strict=True))


def train_then_bare(job: Job) -> Evaluation:
    """Trains the candidate as always, then with a bare loop; the evaluation has the seconds of both.

    Raises:
        RuntimeError: The bare loop ended at another loss, so it was not the same work.
    """
    from star_core.training.fit import train

    evaluation = train(job)
    if evaluation.status != "ok":
        return evaluation
    begin = time.perf_counter()
    seconds, loss = bare_loop(job)
    if loss != evaluation.metrics["validation_loss"]:
        raise RuntimeError(f"the bare loop ended at {loss}, the candidate at {evaluation.metrics}")
    seconds["bare"] = time.perf_counter() - begin
    return replace(evaluation, seconds=evaluation.seconds | seconds)


def bare_loop(job: Job) -> tuple[dict[str, float], float]:
    """Seconds of compute alone, by part, and the validation loss; torch is set up already."""
    import torch

    module, batches = assemble(job)
    seconds: dict[str, float] = {}
    configured = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    cast = torch.autocast("cpu", torch.bfloat16, enabled=job.training.precision == "bf16")
    for index, batch in enumerate(list(batches.train_dataloader())):
        with timed(seconds, "forward"), cast:
            loss = module.training_step(batch, index)
        with timed(seconds, "backward"):
            optimizer.zero_grad()
            loss.backward()
        with timed(seconds, "clip and optimiser"):
            module.configure_gradient_clipping(optimizer, job.training.clip)
            optimizer.step()
        schedule.step()
    module.eval()
    module.on_validation_epoch_start()
    for index, batch in enumerate(list(batches.val_dataloader())):
        with timed(seconds, "forward, validation"), torch.inference_mode(), cast:
            module.validation_step(batch, index)
    module.on_validation_epoch_end()
    return seconds, module.validation_loss


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Adds the wall time of its block to ``part``."""
    begin = time.perf_counter()
    yield
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - begin


def foreign_seconds() -> float:
    """CPU seconds this machine has spent on anything but this program and its children that ended."""
    times = psutil.cpu_times()
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    spent: float = times.user + times.system + getattr(times, "nice", 0.0)
    return spent - sum(one.ru_utime + one.ru_stime for one in own)


def describe(one: Pass) -> str:
    """A line for a pass."""
    return (
        f"{one.layout:<24}{one.wall:7.1f} s, start {one.start:4.1f} s"
        f"{one.per_minute:8.2f} candidates a minute, running {one.per_minute_running:.2f};"
        f" others used {abs(one.others):.2f} cores"
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


def verdict(met: bool, goal: str) -> str:
    """Whether a goal is met."""
    return f"   goal {goal}: {'met' if met else 'MISSED'}"


def report_losses(passes: Mapping[str, Sequence[Pass]]) -> None:
    """The losses of ours, and how far any pass of the others was from them."""
    ours = passes[OURS][0].losses
    furthest = {
        way: {name: max(distance(one.losses[name], loss) for one in found) for name, loss in ours.items()}
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


def distance(one: float | None, other: float | None) -> float:
    """How far two losses are apart; infinite if only one of the two trainings failed."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other)


def report_shares(found: Sequence[Mapping[str, float]], workers: int) -> None:
    """Where the time of all candidates of all rounds went."""
    if not found:
        return
    seconds = {part: sum(one[part] for one in found) for part in PARTS}
    total = sum(seconds.values())
    print(f"\nwhere a candidate's time goes, {workers} at once: {total / len(found):.2f} s on average")
    for part, value in seconds.items():
        print(f"  {part:<38}{1000 * value / len(found):9.1f} ms {100 * value / total:6.1f} %")
    compute = sum(seconds[part] for part in COMPUTE)
    outside = 1 - compute / total
    print(
        f"not forward, backward or optimiser{100 * outside:18.1f} %"
        + verdict(outside <= OVERHEAD_GOAL, f"≤ {OVERHEAD_GOAL:.0%}")
    )
    without = outside - seconds["forward, validation"] / total
    print(f"without validation's forward passes{100 * without:17.1f} %")


if __name__ == "__main__":
    main()
