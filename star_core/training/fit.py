"""Trains one candidate from its job to its evaluation."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import nn

from star_core.architecture import Architecture
from star_core.compiler import planned_architecture
from star_core.config import Training
from star_core.datasets.tokens import TokenData, load_tokens
from star_core.errors import DataError
from star_core.evaluation import Evaluation, Job
from star_core.machine import machine_fingerprint
from star_core.models import build_model
from star_core.training.checkpoint import save_checkpoint
from star_core.training.data import TokenModule
from star_core.training.module import LanguageModelTraining
from star_core.training.processes.outcome import Diverged, failed, now
from star_core.training.state import TrainingState, read_state

_PRECISION: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def train(job: Job) -> Evaluation:
    """Trains and measures the candidate; writes its checkpoint if the job names one.

    The result depends on nothing but the job, the data, torch and the machine's instruction set:
    with one thread it is the same to the last bit in any process.

    Returns:
        ``ok`` with ``validation_loss`` and ``train_loss``, or ``diverged``.

    Raises:
        GenomeError: The genome is not valid.
        ConfigError: The genome compiles to another architecture than the job says.
        DataError: The data is missing, other than the job says, or too short.
        StoreError: The checkpoint cannot be written.
    """
    started = time.perf_counter()
    architecture, data = _open(job)
    configure_torch(job.training)
    model = build_model(architecture, seed=job.training.seed)
    state = _state_of(job, model)
    module = LanguageModelTraining(model, job.training, job.training.peak_rate(architecture.width), state)
    batches = TokenModule(data, job.training, state.step if state else 0, job.stop)
    tokens_per_step = job.training.batch_size * job.training.sequence_length
    try:
        with quiet():
            trainer = make_trainer(job.training)
            built = time.perf_counter()
            trainer.fit(module, train_dataloaders=batches.train_dataloader())
            trained = time.perf_counter()
            trainer.validate(module, dataloaders=batches.val_dataloader(), verbose=False)
            validated = time.perf_counter()
    except Diverged as error:
        tokens = error.steps * tokens_per_step
        flops = architecture.training_flops(tokens, job.training.sequence_length)
        seconds = time.perf_counter() - started
        return failed(job, "diverged", error.reason, seconds, tokens=tokens, flops=flops)
    if job.states is not None and job.stop is not None:
        kept = TrainingState.of(job.key, job.stop, module.losses, model, trainer.optimizers[0])
        kept.write(state_path(job.states, job.key))
    if job.checkpoint is not None:
        extra = {
            "key": job.key,
            "data_digest": job.data_digest,
            "validation_loss": repr(module.validation_loss),
        }
        save_checkpoint(Path(job.checkpoint), model, architecture, job.space, extra)
    last = module.losses[-max(1, len(module.losses) // 10) :]
    return Evaluation(
        key=job.key,
        digest=job.digest,
        genome=job.genome,
        status="ok",
        metrics={
            "validation_loss": module.validation_loss,
            "train_loss": sum(last) / len(last),
            **data.metrics,
        },
        detail="",
        tokens=job.tokens,
        flops=architecture.training_flops(job.tokens, job.training.sequence_length),
        seconds={
            "total": time.perf_counter() - started,
            "setup": built - started,
            "training": trained - built,
            "validation": validated - trained,
        },
        limits={},
        machine=machine_fingerprint(job.training.accelerator),
        finished_at=now(),
    )


def _state_of(job: Job, model: nn.Module) -> TrainingState | None:
    """Where an earlier training of this candidate stopped, its weights put into the model."""
    if job.states is None or job.resume is None:
        return None
    state = read_state(state_path(job.states, job.resume), job.resume)
    if state is None or not state.fits(model):
        return None
    state.restore(model)
    return state


def state_path(folder: str, key: str) -> Path:
    """Where the state of the training behind an evaluation is kept."""
    return Path(folder) / key[:2] / f"{key}.safetensors"


def _open(job: Job) -> tuple[Architecture, TokenData]:
    data = load_tokens(job.data)
    if data.digest != job.data_digest:
        raise DataError(
            f"the data has another digest than the run was begun with ({job.data_digest[:12]})",
            value=data.digest[:12],
            place=job.data,
            fix="restore that data, or begin a new run",
        )
    return planned_architecture(job, data.vocab_size, "generation"), data


def configure_torch(recipe: Training) -> None:
    """Sets what is global in torch: threads, denormals (decay masks make them), determinism."""
    torch.set_num_threads(recipe.threads)
    torch.set_flush_denormal(True)
    if recipe.accelerator in ("auto", "gpu") and torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling fresh memory is a debugging aid that costs a pass over every tensor.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def make_trainer(recipe: Training) -> Trainer:
    """A Trainer of one pass over the training batches that keeps, shows and writes nothing."""
    return Trainer(
        accelerator=recipe.accelerator,
        devices=1,
        precision=_PRECISION[recipe.precision],
        max_epochs=1,
        gradient_clip_val=recipe.clip,
        barebones=True,
        inference_mode=True,
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's hints and torch's warnings, which a search would print a thousand times."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
