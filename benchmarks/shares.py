"""Where a candidate's time goes: its own training beside a bare loop in the same process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.jobs import Finished, run_jobs
from benchmarks.plain_loop import assemble
from star_core.config import Params
from star_core.evaluation import Evaluation, Job
from star_core.training import CandidatePool

OVERHEAD_GOAL = 0.15
COMPUTE = ("forward", "backward", "clip and optimiser")
PARTS = (
    *COMPUTE,
    "Lightning and data, training",
    "forward, validation",
    "Lightning and data, validation",
    "set-up: data, model, trainer",
    "process: start, store, report, end",
)


@dataclass(frozen=True)
class Setting:
    """What all passes have in common."""

    jobs: Mapping[str, Job]
    params: Params
    workers: int
    folder: Path


def stored_at(jobs: Mapping[str, Job], folder: Path) -> dict[str, Job]:
    """The jobs with a store of their own, so that nothing is found in it."""
    return {name: replace(job, storage=str(folder)) for name, job in jobs.items()}


def verdict(met: bool, goal: str) -> str:
    """Whether a goal is met."""
    return f"   goal {goal}: {'met' if met else 'MISSED'}"


def measure_shares(setting: Setting, number: int) -> list[dict[str, float]]:
    """Seconds by part of every candidate that could be trained."""
    jobs, runtime = stored_at(setting.jobs, setting.folder / f"shares-{number}"), setting.params.runtime
    short = setting.params.training.model_copy(update={"steps": 1})
    first = next(iter(jobs.values()))
    with CandidatePool(
        setting.workers,
        3 * runtime.deadline_seconds,
        runtime.memory_mib,
        preload=("star_core.training.fit", "star_core.training.processes.child", "benchmarks.shares"),
        target="benchmarks.shares:train_then_bare",
    ) as pool:
        # The server is running after this, so that no candidate waits for it.
        pool.run(replace(first, training=short, key="0" * 64))
        found = list(run_jobs(pool, jobs, setting.workers))
    for finished in found:
        if "bare" not in finished.evaluation.seconds:
            print(
                f"  {finished.name} has no shares: {finished.evaluation.status} {finished.evaluation.detail}"
            )
    return [parts_of(finished) for finished in found if "bare" in finished.evaluation.seconds]


def parts_of(finished: Finished) -> dict[str, float]:
    """Where a candidate's wall time went, without the bare loop that came after it."""
    seconds = finished.evaluation.seconds
    whole = finished.ended - finished.asked - seconds["bare"]
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


def report_shares(found: Sequence[Mapping[str, float]], workers: int) -> None:
    """Where the time of all candidates of all rounds went."""
    if not found:
        return
    seconds = {part: sum(shares[part] for shares in found) for part in PARTS}
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
