"""MAD: how well an architecture learns six synthetic tasks (arXiv 2403.17844), each from scratch.

Shapes: B batch, L length, V vocabulary, X positions that ask something.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from star_core.architecture import Architecture
from star_core.compiler import job_architecture
from star_core.config import Training
from star_core.evaluation import Evaluation, Job
from star_core.machine import machine_fingerprint
from star_core.mad.compressor import Compressor
from star_core.mad.tasks import IGNORE, TASKS, Instances, Task
from star_core.models import build_model
from star_core.training.fit import configure_torch, make_trainer, quiet
from star_core.training.module import LanguageModelTraining
from star_core.training.processes.outcome import Diverged, now

HELD_OUT = 256
"""Instances that accuracy is measured on: some thousand answers a task."""
_ORDER = 3
"""Purpose of the random stream that orders training instances."""

Batch = tuple[Tensor, Tensor]
"""Inputs and targets, (B, L) int64 each."""


@dataclass(frozen=True, slots=True)
class Score:
    """What an architecture made of a task.

    Attributes:
        accuracy: Share of the held-out questions answered; 0 if the training diverged.
        loss: Nats per held-out answer; not a number if it diverged.
        seconds: Wall time of training and measuring.
    """

    accuracy: float
    loss: float
    seconds: float


class TaskTraining(LanguageModelTraining):
    """Trains on what a task asks, and nothing else; counts the answers that are right.

    Attributes:
        accuracy: Share of right answers, once validated.
    """

    accuracy: float = math.nan

    def on_validation_epoch_start(self) -> None:
        """Begins the count anew."""
        super().on_validation_epoch_start()
        self._right = 0

    def validation_step(self, batch: Any, _index: int) -> None:
        """Counts the right answers of a batch, and their nats."""
        logits_XV, targets_X = self._answers(batch)
        self._summed += functional.cross_entropy(logits_XV.double(), targets_X, reduction="sum").cpu()
        self._counted += len(targets_X)
        self._right += int((logits_XV.argmax(-1) == targets_X).sum())

    def on_validation_epoch_end(self) -> None:
        """Divides by the questions."""
        super().on_validation_epoch_end()
        self.accuracy = self._right / max(1, self._counted)

    def _nats(self, batch: Any) -> Tensor:
        logits_XV, targets_X = self._answers(batch)
        return functional.cross_entropy(logits_XV, targets_X, reduction="none")

    def _answers(self, batch: Batch) -> Batch:
        inputs_BL, targets_BL = batch
        asked_BL = targets_BL != IGNORE
        return self.model(inputs_BL)[asked_BL].float(), targets_BL[asked_BL]


def learn(task: Task, architecture: Architecture, recipe: Training) -> Score:
    """Trains a fresh model on a task and measures it on instances that it has not seen.

    Args:
        task: What is asked.
        architecture: Compiled for the task's vocabulary.
        recipe: Steps, batch size, rates and seed; its lengths and validation tokens are the task's.

    Raises:
        ConfigError: The architecture was job_architecture for another vocabulary.
        DataError: The task has too few different instances.
    """
    started = time.perf_counter()
    configure_torch(recipe)
    model = build_model(architecture, task.vocab_size, recipe.seed)
    learner = Compressor(model, task.length, recipe.seed) if task.compressed else model
    held_out = task.validation(HELD_OUT, recipe.seed)
    instances = task.training(recipe.steps * recipe.batch_size, held_out, recipe.seed)
    module = TaskTraining(learner, recipe, recipe.peak_rate(architecture.width))
    try:
        with quiet():
            trainer = make_trainer(recipe)
            trainer.fit(module, train_dataloaders=training_batches(instances, recipe))
            whole = batches(held_out, np.arange(HELD_OUT), recipe.batch_size)
            trainer.validate(module, dataloaders=whole, verbose=False)
    except Diverged:
        return Score(0.0, math.nan, time.perf_counter() - started)
    return Score(module.accuracy, module.validation_loss, time.perf_counter() - started)


def probe(job: Job) -> Evaluation:
    """Trains a candidate on all tasks, each from scratch; what a measuring process runs.

    ``job.settings["recipe"]`` is the recipe. Metrics: ``mad_accuracy``, the mean, and
    ``mad_accuracy_NAME`` of every task, with underscores in its name.

    Raises:
        GenomeError: The genome is not valid.
    """
    recipe = Training.model_validate(job.settings["recipe"] | {"accelerator": job.training.accelerator})
    began, flops = time.perf_counter(), 0
    scores: dict[str, Score] = {}
    for task in TASKS.values():
        architecture = job_architecture(job, task.vocab_size)
        scores[task.name] = learn(task, architecture, recipe)
        flops += architecture.training_flops(recipe.steps * recipe.batch_size * task.length, task.length)
    accuracies = {f"mad_accuracy_{name.replace('-', '_')}": score.accuracy for name, score in scores.items()}
    return Evaluation(
        key=job.key,
        digest=job.digest,
        genome=job.genome,
        status="ok",
        metrics={"mad_accuracy": sum(accuracies.values()) / len(accuracies), **accuracies},
        detail="",
        tokens=0,
        flops=flops,
        seconds={
            "total": time.perf_counter() - began,
            **{name: score.seconds for name, score in scores.items()},
        },
        limits={},
        machine=machine_fingerprint(recipe.accelerator),
        finished_at=now(),
    )


def training_batches(instances: Instances, recipe: Training) -> DataLoader[Any]:
    """One batch per step: the instances in a random order, then in another, as often as it takes."""
    rng = np.random.default_rng(np.random.SeedSequence([recipe.seed, _ORDER]))
    wanted = recipe.steps * recipe.batch_size
    rounds = [rng.permutation(len(instances)) for _ in range(-(-wanted // len(instances)))]
    return batches(instances, np.concatenate(rounds)[:wanted], recipe.batch_size)


def batches(instances: Instances, order: NDArray[np.int64], size: int) -> DataLoader[Any]:
    """The instances in this order, ``size`` at a time; the last batch may be smaller."""
    rows = [order[at : at + size] for at in range(0, len(order), size)]
    # Its own generator: a loader otherwise draws from the global one.
    return DataLoader(_Batches(instances, rows), batch_size=None, generator=torch.Generator())


class _Batches(Dataset[Batch]):
    def __init__(self, instances: Instances, rows: list[NDArray[np.int64]]) -> None:
        self._instances, self._rows = instances, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Batch:
        rows = self._rows[index]
        inputs_BL, targets_BL = self._instances.inputs[rows], self._instances.targets[rows]
        return torch.from_numpy(inputs_BL), torch.from_numpy(targets_BL)
