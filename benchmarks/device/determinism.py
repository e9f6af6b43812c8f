"""Whether the same training gives the same bits again, on one device.

Each class trains some steps three times from the same weights: with torch's defaults, in torch's
deterministic mode (which raises where an operator has no deterministic form), and in that mode with warnings
only, as the project sets it on a GPU. ``same``: weights and losses to the last bit. Then whole candidates are
trained twice, each in a process of its own, two at once.
"""

from __future__ import annotations

import copy
import hashlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.project import (
    GATED,
    CandidatePool,
    Params,
    Training,
    baselines,
    build_model,
    classes,
    compiled,
    make_jobs,
    run_jobs,
)
from benchmarks.device.results import DEVICE_FAILED, Measured, Task
from benchmarks.device.setting import Setting
from benchmarks.device.stacks import TrainingStep

SECONDS, CANDIDATE_SECONDS = 5.0, 50.0
BATCH, STEPS, REPEATS = 4, 3, 3
MEMORY_MIB, DEADLINE = 16384, 120.0
MODES: dict[str, Callable[[], None]] = {
    "default": lambda: torch.use_deterministic_algorithms(False),
    "strict": lambda: torch.use_deterministic_algorithms(True),
    "warn": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
}


def tasks(setting: Setting) -> Iterator[Task]:
    """Whole candidates first, then every class."""
    yield Task("candidates", CANDIDATE_SECONDS, partial(measure_candidates, setting))
    for name in classes():
        yield Task(name, SECONDS, partial(measure, setting, name))


def measure(setting: Setting, name: str) -> Measured:
    """One class in every mode and precision."""
    torch.utils.deterministic.fill_uninitialized_memory = False
    size = setting.determinism
    model = build_model(compiled((name, GATED), size), seed=0).to(setting.device)
    tokens_BL = setting.random_tokens(size, BATCH, size.length + 1)
    shown: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for precision in ("fp32", "bf16"):
        for mode, begin in MODES.items():
            column = f"{precision} {mode}"
            begin()
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    prints = [
                        fingerprint(copy.deepcopy(model), tokens_BL, precision == "bf16")
                        for _ in range(REPEATS)
                    ]
                shown[column] = "same" if len(set(prints)) == 1 else "differs"
                if mode == "warn":
                    told = {
                        str(w.message).split("\n")[0][:150] for w in caught if "determin" in str(w.message)
                    }
                    more[column] = sorted(told)
            except Exception as error:
                if DEVICE_FAILED in str(error):
                    raise
                shown[column] = "raises"
                more[column] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            finally:
                torch.use_deterministic_algorithms(False)
    return Measured(shown, more)


def fingerprint(model: Any, tokens_BL: torch.Tensor, half: bool) -> str:
    """Of the losses and weights after some steps."""
    step = TrainingStep(model, half)
    losses = torch.stack([step(tokens_BL) for _ in range(STEPS)])
    digest = hashlib.sha256(losses.cpu().numpy().tobytes())
    for weight in model.parameters():
        digest.update(weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def measure_candidates(setting: Setting) -> Measured:
    """The baselines by the default recipe, in both precisions, twice: equal losses?"""
    shown: dict[str, Any] = {}
    more: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, CandidatePool(2, DEADLINE, MEMORY_MIB) as pool:
        folder = Path(name)
        data = setting.prepare(folder)
        jobs = {}
        for precision in ("fp32", "bf16"):
            recipe = Training(steps=setting.steps, precision=precision, accelerator=setting.kind)
            params = Params(training=recipe)
            for again in range(2):
                made = make_jobs(baselines(params.space.depth), params, data, folder / f"{precision}-{again}")
                jobs |= {f"{genome}|{precision}|{again}": job for genome, job in made.items()}
        found = {finished.name: finished for finished in run_jobs(pool, jobs, 2)}
    for label in dict.fromkeys(name.rpartition("|")[0] for name in found):
        first, second = (found[f"{label}|{again}"] for again in range(2))
        genome, _, precision = label.partition("|")
        state = "same" if first.loss == second.loss else "differs"
        shown[f"{precision} {genome}"] = state if first.loss is not None else first.evaluation.status
        more[label] = [
            {"loss": f.loss, "detail": f.evaluation.detail, "seconds": f.evaluation.seconds}
            for f in (first, second)
        ]
    return Measured(shown, more)
