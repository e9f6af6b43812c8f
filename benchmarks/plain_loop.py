"""Training as one would write it without this project's processes: one process, one genome after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from star_core import Genome, compile_genome
from star_core.datasets import load_tokens
from star_core.evaluation import Job
from star_core.genome.space import reading_space
from star_core.training.processes.wire import decode_job

if TYPE_CHECKING:
    from star_core.training.data import TokenModule
    from star_core.training.module import LanguageModelTraining

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_RESULT = "RESULT "
_PLAIN_PROCESS = "from benchmarks.plain_loop import plain_process; plain_process()"


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

    from star_core.training.processes.outcome import Diverged

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
    space = reading_space(job.space)
    genome = Genome.parse(job.genome)
    spec = compile_genome(genome, space, job.model.width, job.model.head_dim, data.vocab_size)
    model = build_model(spec, seed=recipe.seed)
    return LanguageModelTraining(model, recipe, recipe.peak_rate(spec.width)), TokenModule(data, recipe)
