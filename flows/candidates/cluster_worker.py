"""What runs in a worker process of a cluster, on whatever machine that is.

It needs this package and the run's storage; the project's folder, where the machines share it, saves time.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace

from star_core import semantics
from star_core.config import Runtime, Training
from star_core.datasets.transfer import at_hand, machine_cache
from star_core.errors import ConfigError
from star_core.evaluation import Job
from star_core.machine import check_device, machine_fingerprint

from ..run.trainer import Trained, Trainer

_own: dict[tuple[int, str, int], Trainer] = {}
_making = threading.Lock()


def train_here(job: Job, runtime: Runtime, machine: Mapping[str, object]) -> Trained | None:
    """Trains a candidate in a process of this machine; ``None`` if it is in training elsewhere.

    Args:
        job: What to train; its paths are those of the flow's machine.
        runtime: Limits, storage and patience.
        machine: Of which kind the run's machines are.

    Raises:
        StarError: This machine is of another kind, has no corpus, or the storage stays away.
    """
    require_same_machine(job.training, machine)
    trainer, here = own_trainer(runtime, job.training.threads), at_hand(job, runtime)
    if here.data != job.data:  # no folder is shared, so nobody would tidy up the state of its training
        here = replace(here, states=None)
    if job.checkpoint is None or runtime.address is None or not trainer.checkpoints.is_remote:
        return trainer.train(here)
    path = machine_cache() / "checkpoints" / f"{job.key}.safetensors"
    trained = trainer.train(replace(here, checkpoint=str(path)))
    path.unlink(missing_ok=True)  # it is in the storage now
    return trained


def own_trainer(runtime: Runtime, threads: int) -> Trainer:
    """The trainer of this process; it stays warm from candidate to candidate.

    The cluster decides how many candidates come at once: there are places enough.
    """
    key = (os.getpid(), runtime.model_dump_json(), threads)
    with _making:
        if key not in _own:
            for other in _own.values():  # of a run before this one
                other.close()
            _own.clear()
            _own[key] = Trainer(runtime, workers=os.cpu_count() or 1, threads=threads)
        return _own[key]


def kind_of_machine(training: Training) -> dict[str, object]:
    """What must be the same on all machines of a run, so that they train to the same bits."""
    return {**machine_fingerprint(training.accelerator), "semantics": semantics.MODEL}


def require_same_machine(training: Training, wanted: Mapping[str, object]) -> None:
    """Raises ``ConfigError`` where this machine is of another kind than the run's."""
    check_device(training.accelerator)
    here = kind_of_machine(training)
    differing = [name for name in here | dict(wanted) if here.get(name) != wanted.get(name)]
    if differing:
        raise ConfigError(
            f"all machines of a run have the same {', '.join(differing)}: this run's is "
            + ", ".join(str(wanted.get(name)) for name in differing),
            value=", ".join(str(here.get(name)) for name in differing),
            place=f"worker on {socket.gethostname()}",
            fix="install the same versions everywhere; ATEN_CPU_CAPABILITY=avx2 (or default) in the "
            "environment of all machines makes processors of one vendor alike, training.accelerator names "
            "one device",
        )
