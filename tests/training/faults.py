"""What candidates can do wrong, chosen by the genome text of a job: the target of the pool under test."""

import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

from star_core.errors import DataError
from star_core.evaluation import Evaluation
from star_core.training.processes import child as candidate
from star_core.training.processes.outcome import Diverged, failed, now


def finished(job, loss=1.5):
    return Evaluation(
        key=job.key,
        digest=job.digest,
        genome=job.genome,
        status="ok",
        metrics={"validation_loss": loss, "train_loss": loss},
        detail="",
        tokens=1,
        flops=1,
        seconds={"total": 0.1},
        limits={},
        machine={},
        finished_at=now(),
    )


def succeed(job):
    return finished(job)


def hang(job):
    pid = os.fork()  # a helper that must go too
    if pid == 0:
        time.sleep(600)
    Path(job.data).write_text(str(pid))
    time.sleep(600)


def ignore_signals_and_spin(job):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


def raise_error(job):
    raise ValueError("something\nodd")


def lose_device(job):
    raise RuntimeError("CUDA error: no CUDA-capable device is detected\nCUDA kernel errors might be …")


def exit_early(job):
    os._exit(3)


def call_exit(job):
    sys.exit("bye")


def wait_for_file(job):
    with Path(job.data + ".began").open("a") as file:
        file.write("x")
    while not Path(job.data).exists():
        time.sleep(0.02)
    return finished(job)


def diverge(job):
    raise Diverged("the loss is not finite at step 3", 2)


def wrong_data(job):
    raise DataError("no such text", value=7, place="here", fix="look there")


def allocate_bytes(job):
    return [bytearray(64 << 20) for _ in range(1000)]


def allocate_tensors(job):
    import torch

    return [torch.ones(16 << 20) for _ in range(1000)]


def allocate_a_little(job):
    kept = bytearray(100 << 20)
    return finished(job, float(len(kept) > 0))


def return_nan(job):
    return finished(job, float("nan"))


def return_nonsense(job):
    return finished(job, -1.0)


def die_after_storing(job):
    # The next thing after storing is to turn the evaluation into the answer.
    candidate.asdict = lambda _: os._exit(3)
    return finished(job, 2.5)


def cannot_write(job):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    return finished(job, 3.5)


def remove_store(job):
    shutil.rmtree(job.storage, ignore_errors=True)
    Path(job.storage).write_text("a file where the store should be")
    return finished(job, 4.5)


def count_and_die(job):
    with Path(job.data).open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)


def print_noise(job):
    print("on standard output")
    return finished(job)


def report_process(job):
    environment = [os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
    Path(job.data).write_text(
        f"{os.getppid()} {signal.getsignal(signal.SIGINT)} {environment} {sys.modules['__main__']}"
    )
    return finished(job)


def refuse(job):
    return failed(job, "crashed", "must not be trained again", 0.0)


def tell_environment(job):
    Path(job.data).write_text(json.dumps(dict(os.environ)))
    return finished(job)


def act(job):
    """Does what the genome text names; anything else is trained."""
    fault = globals().get(job.genome)
    if fault is not None:
        return fault(job)
    from star_core.training.fit import train

    return train(job)
