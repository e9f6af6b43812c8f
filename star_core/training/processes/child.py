"""What runs inside a candidate's process: train, store, then report. Torch is loaded by then."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from star_core.errors import StarError, StorageAway, StoreError
from star_core.evaluation import Evaluation, Job, Status
from star_core.machine import free_memory_bytes, machine_fingerprint
from star_core.storage.evaluation_file import from_bytes, to_bytes
from star_core.storage.evaluations import EvaluationStore
from star_core.storage.weights import checkpoint_key
from star_core.training.processes.outcome import Diverged, failed, is_device_lost, is_out_of_memory
from star_core.training.processes.wire import decode_job, encode_error

Target = Callable[[Job], Evaluation]


def run_candidate(channel: socket.socket) -> None:
    """Reads one request from the channel, obeys it and answers; both are a line of JSON.

    The evaluation is in the store before the answer is sent, so a kill in between loses nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = json.loads(read_line(channel))
    threading.Thread(target=_watch, args=(channel,), daemon=True).start()
    if request["device"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = request["device"]
    job = decode_job(request["job"])
    try:
        target = _load(request["target"])
        answer = _evaluate(target, job, request["memory_mib"])
    except StarError as error:
        answer = {"error": encode_error(error)}
    channel.sendall(json.dumps(answer).encode() + b"\n")


def read_line(channel: socket.socket) -> bytes:
    """Everything up to the first newline, or to the end of file."""
    line = bytearray()
    while not line.endswith(b"\n"):
        part = channel.recv(1 << 16)
        if not part:
            break
        line += part
    return bytes(line)


def _watch(channel: socket.socket) -> None:
    """Ends this process, and what it started, when its owner is gone."""
    try:
        while channel.recv(1):
            pass
    except OSError as error:
        if error.errno == errno.EBADF:  # closed on this side: all is said
            return
    os.killpg(0, signal.SIGKILL)


def _load(name: str) -> Target:
    module, _, function = name.partition(":")
    try:
        target: Target = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise StarError(
            f"a candidate process cannot load {name} ({type(error).__name__}: {error})",
            place="training",
            fix="install the package again: make run does it",
        ) from error
    return target


def _evaluate(target: Target, job: Job, memory_mib: int) -> dict[str, Any]:
    store = EvaluationStore(job.storage, job.endpoint)
    try:
        stored = store.find(job.key, job.digest)
    except StorageAway:  # whoever sent the job has looked already
        stored = None
    if stored is not None and is_done(job, stored):
        return {"evaluation": asdict(stored)}
    evaluation = _attempt(target, job, memory_mib)
    try:
        store.put(evaluation)
    except StoreError as error:
        return {"evaluation": asdict(evaluation), "error": encode_error(error)}
    return {"evaluation": asdict(evaluation)}


def is_done(job: Job, stored: Evaluation) -> bool:
    """Whether nothing of the job is left to do.

    A candidate that ran into a limit is tried again: whoever asks has found the limit raised. One that
    was trained is done if its weights need not be kept, or are there and are those of this very job.
    """
    if stored.limits:
        return False
    if stored.status != "ok" or job.checkpoint is None:
        return True
    return checkpoint_key(Path(job.checkpoint)) == job.key


def _attempt(target: Target, job: Job, memory_mib: int) -> Evaluation:
    started = time.perf_counter()
    status: Status
    limits: dict[str, float] = {}
    device = machine_fingerprint(job.training.accelerator)["device"]
    _require(device, job)
    room = memory_mib
    if job.probe is not None and device != "gpu":
        # What is measured may have any length: beyond what is free, the kernel would kill the process.
        room = min(memory_mib, free_memory_bytes() >> 20)
    try:
        with _memory_limit(room, device):
            return _checked(target(job))
    except StarError:
        raise
    except Diverged as error:
        status, detail = "diverged", error.reason
    except SystemExit as error:
        if type(error).__name__ == "SIGTERMException":
            # Lightning's answer to a signal from outside: die as the sender meant.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        status, detail = "crashed", f"SystemExit: {error}"
    except BaseException as error:
        if is_device_lost(error):
            raise _lost(device, job, str(error)) from error
        status = "out_of_memory" if is_out_of_memory(error) else "crashed"
        detail = f"{type(error).__name__}: {error}"
        if status == "out_of_memory":
            limits = {"memory_mib": memory_mib}
            bound = "runtime.memory_mib" if room == memory_mib else "all that is free"
            detail = f"more than {room} MiB ({bound}): {detail}"
    return failed(job, status, detail, time.perf_counter() - started, limits=limits)


def _require(device: str, job: Job) -> None:
    """Refuses to train elsewhere than the result's key says: Lightning would, without a word."""
    if device == "cpu":
        return
    import torch

    available = torch.cuda.is_available() if device == "gpu" else torch.backends.mps.is_available()
    if not available:
        raise _lost(device, job, "torch finds none")


def _lost(device: str, job: Job, reason: str) -> StarError:
    """Not the candidate's failure, so nothing is stored of it."""
    return StarError(
        f"the {device} that candidates train on is not there or went away: {' '.join(reason.split())[:200]}",
        value=job.training.accelerator,
        place="training.accelerator",
        fix="bring it back (nvidia-smi tells its state) and run the same command again: what is finished is "
        "kept; or set it to cpu, where all is trained anew",
    )


def _checked(evaluation: Evaluation) -> Evaluation:
    """The evaluation, if it can be stored and read again.

    Raises:
        ValueError: It cannot: a loss is not a number, say.
    """
    try:
        from_bytes(to_bytes(evaluation), evaluation.key, "the result")
    except StoreError as error:
        raise ValueError(f"no evaluation: {error.rule}") from error
    return evaluation


@contextlib.contextmanager
def _memory_limit(memory_mib: int, device: str) -> Iterator[None]:
    """Refuses allocations beyond ``memory_mib`` more than this process has now.

    On a GPU the limit holds for its memory; CUDA's own mappings on the host would not fit one.
    """
    used = None if device == "gpu" else _data_bytes()
    if device == "gpu":
        import torch

        if torch.cuda.is_available():
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, memory_mib * 2**20 / total))
    if used is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = used + memory_mib * 2**20
    bounds = [bound for bound in (limit, soft, hard) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        # Storing and reporting a failure needs memory too.
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """Private writable memory of this process, as ``RLIMIT_DATA`` counts it; ``None`` off Linux."""
    if sys.platform != "linux":
        return None
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return None
