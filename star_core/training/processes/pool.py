"""Candidate processes: each candidate is trained in a process of its own, within limits.

Importing this does not import torch.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from star_core.errors import StarError, StorageAway, StoreError
from star_core.evaluation import Evaluation, Job
from star_core.machine import device_of
from star_core.storage.evaluations import EvaluationStore
from star_core.training.processes.child import Target, is_done
from star_core.training.processes.environment import candidate_environment
from star_core.training.processes.forkserver import Child, ForkServer, ServerDied
from star_core.training.processes.outcome import failed
from star_core.training.processes.wire import decode_error, encode_job

DEFAULT_TARGET = "star_core.training.fit:train"
PRELOAD = ("star_core.training.fit", "star_core.training.processes.child")
RETRIES = 2
"""How often a candidate killed by someone else's signal is begun again."""
_GRACE_SECONDS = 5.0
"""What a child that has reported gets to be gone."""
SERVER_SECONDS = 300.0
"""What the fork server gets to begin a child, its own start included, or to see a killed one gone."""


class PoolClosed(Exception):  # noqa: N818
    """The pool was closed before the candidate was done."""


class NotStored(StoreError):  # noqa: N818
    """A finished evaluation that could not be stored.

    Attributes:
        evaluation: The result, which is lost unless the caller keeps it.
    """

    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class _Ending:
    """How one attempt ended.

    Attributes:
        began: Whether there was a process at all.
        answer: What it answered, if it came to that.
        exit_code: ``None``: its server died.
        timed_out: Whether it was killed at its deadline; its server, if it had not begun.
        seconds: Wall time it ran.
    """

    began: bool
    answer: dict[str, Any] | None
    exit_code: int | None
    timed_out: bool
    seconds: float


class CandidatePool:
    """Trains candidates in processes, at most ``workers`` at once.

    Args:
        workers: Candidates at once.
        deadline_seconds: Wall time after which a candidate is killed.
        memory_mib: Memory a candidate may allocate, MiB.
        threads: CPU threads of a candidate.
        preload: Modules loaded once and inherited by every candidate.
        target: What trains a job: ``module:function``, or a function of a module that the child
            can import.
    """

    def __init__(
        self,
        workers: int,
        deadline_seconds: float,
        memory_mib: int,
        threads: int = 1,
        preload: Sequence[str] = PRELOAD,
        target: str | Target = DEFAULT_TARGET,
    ) -> None:
        self._deadline, self._memory_mib = deadline_seconds, memory_mib
        self._target = target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
        # Before any of these libraries is loaded: later they do not look again.
        environment = candidate_environment(os.environ, threads)
        self._server = ForkServer("star_core.training.processes.child:run_candidate", preload, environment)
        self._slots: queue.LifoQueue[int] = queue.LifoQueue()
        for slot in reversed(range(workers)):
            self._slots.put(slot)
        self._closed = False

    def __enter__(self) -> CandidatePool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warm_up(self) -> None:
        """Starts loading torch in the background; returns at once."""
        self._require_open()
        self._server.start()

    def close(self) -> None:
        """Kills every candidate and the server; calls of ``run`` in other threads raise ``PoolClosed``."""
        self._closed = True
        self._server.close()

    def run(self, job: Job, on_start: Callable[[int], None] | None = None) -> Evaluation:
        """Trains one candidate, waiting for a free place first. Any thread may call this.

        Args:
            job: What to train. If its key is stored already (and its checkpoint written), nothing is
                trained and the stored evaluation returned.
            on_start: Called with the process id at every attempt, in this thread.

        Returns:
            The evaluation, however training ended, and stored.

        Raises:
            StarError: The job itself is wrong (other data than it says, a malformed store, …), or no
                process can be started.
            NotStored: The store cannot be written; carries the evaluation.
            PoolClosed: Closed meanwhile.
        """
        with self._slot() as slot:
            for _attempt in range(1 + RETRIES):
                ending = self._attempt(job, slot, on_start)
                if ending.timed_out and ending.began:
                    detail = f"killed after {self._deadline:g} s (runtime.deadline_seconds)"
                    limits = {"deadline_seconds": self._deadline}
                    return _failure(job, failed(job, "timed_out", detail, ending.seconds, limits=limits))
                if ending.answer is not None:
                    return _from_answer(job, ending.answer)
                if ending.exit_code is not None and ending.exit_code >= 0:
                    detail = f"exited with code {ending.exit_code} and no result"
                    return _failure(job, failed(job, "crashed", detail, ending.seconds))
        if not ending.began and ending.timed_out:
            raise StarError(
                f"no candidate process began within {SERVER_SECONDS:g} s, {1 + RETRIES} times in a row",
                place="training",
                fix="see what holds this machine up (a file system that does not answer, swapping, a "
                "stopped process) and run the command again",
            )
        if not ending.began:
            raise StarError(
                "candidate processes cannot be started; the reason stands above",
                place="training",
                fix="install the package again: make run does it",
            )
        if ending.exit_code is None:
            cause = "its fork server died"
        else:
            cause = f"killed by {_signal_name(-ending.exit_code)}"
        detail = f"{cause}, {1 + RETRIES} times in a row"
        return _failure(job, failed(job, "crashed", detail, ending.seconds))

    @contextmanager
    def _slot(self) -> Iterator[int]:
        slot = self._slots.get()
        try:
            yield slot
        finally:
            self._slots.put(slot)

    def _require_open(self) -> None:
        if self._closed:
            raise PoolClosed

    def _attempt(self, job: Job, slot: int, on_start: Callable[[int], None] | None) -> _Ending:
        self._require_open()
        try:
            child = self._server.fork()
        except ServerDied:
            self._require_open()
            return _Ending(False, None, None, False, 0.0)
        try:
            request = {
                "job": encode_job(job),
                "target": job.probe or self._target,
                "memory_mib": self._memory_mib,
                "device": device_of(slot, job.training.accelerator),
            }
            with suppress(OSError):  # gone already: its status says how
                child.channel.sendall(json.dumps(request).encode() + b"\n")
            return self._follow(child, on_start)
        finally:
            child.close()

    def _follow(self, child: Child, on_start: Callable[[int], None] | None) -> _Ending:
        """Reads what a child answers and how it ends; kills it at its deadline.

        And its server, where that neither begins the child nor sees it gone.
        """
        answer, status = bytearray(), bytearray()
        started: float | None = None
        pid, killed, timed_out, until = 0, False, False, time.monotonic() + SERVER_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(child.channel, selectors.EVENT_READ)
            selector.register(child.status, selectors.EVENT_READ)
            try:
                while b"exit" not in status or not status.endswith(b"\n"):
                    now = time.monotonic()
                    ready = selector.select(max(0.0, until - now))
                    if not ready and time.monotonic() >= until:
                        timed_out = timed_out or not answer.endswith(b"\n")
                        if pid and not killed:  # its deadline, or its grace after an answer, is over
                            self._server.kill(pid)
                        else:  # stopped, or stuck: its end closes the status
                            self._server.give_up(child, pid)
                        killed, until = True, time.monotonic() + SERVER_SECONDS
                        continue
                    for key, _ in ready:
                        if key.fd == child.status:
                            part = os.read(child.status, 4096)
                            status += part
                            if not part:
                                self._require_open()
                                return _Ending(pid > 0, _parse(answer), None, timed_out, _since(started))
                        elif not _receive(child, answer):
                            selector.unregister(child.channel)
                    if started is None and b"\n" in status:
                        started = time.monotonic()
                        until = started + self._deadline
                        pid = int(status.split(b"\n")[0].split()[1])
                        if on_start is not None:
                            on_start(pid)
                    if answer.endswith(b"\n") and not killed:
                        until = min(until, time.monotonic() + _GRACE_SECONDS)
                while _receive(child, answer, wait=False):
                    pass
            except BaseException:
                if pid:
                    self._server.kill(pid)
                raise
        self._require_open()
        code = int(status.split(b"exit")[1])
        complete = _parse(answer)
        return _Ending(True, complete, code, timed_out and complete is None, _since(started))


def _receive(child: Child, answer: bytearray, wait: bool = True) -> bool:
    """Adds what there is on the channel to ``answer``; false at the end of file (or of what is there)."""
    child.channel.setblocking(wait)
    try:
        part = child.channel.recv(1 << 16)
    except (BlockingIOError, ConnectionError):
        return False
    answer += part
    return bool(part)


def _parse(answer: bytearray) -> dict[str, Any] | None:
    """The child's answer, or ``None`` if it did not come to its end."""
    if not answer.endswith(b"\n"):
        return None
    parsed: dict[str, Any] = json.loads(answer)
    return parsed


def _since(started: float | None) -> float:
    return 0.0 if started is None else time.monotonic() - started


def _from_answer(job: Job, answer: dict[str, Any]) -> Evaluation:
    if "evaluation" not in answer:
        raise decode_error(answer["error"])
    evaluation = Evaluation(**answer["evaluation"])
    # What the child could not store, its owner tries once more: a full disk may have room again.
    return _stored(job, evaluation) if "error" in answer else evaluation


def _failure(job: Job, evaluation: Evaluation) -> Evaluation:
    """The failure, stored; unless the child had stored its result and died before it could say so."""
    try:
        stored = EvaluationStore(job.storage, job.endpoint).find(job.key, job.digest)
    except StorageAway as error:
        raise _not_stored(evaluation, error) from error
    if stored is None or stored.limits:
        return _stored(job, evaluation)
    return stored if is_done(job, stored) else evaluation


def _stored(job: Job, evaluation: Evaluation) -> Evaluation:
    try:
        EvaluationStore(job.storage, job.endpoint).put(evaluation)
    except StoreError as error:
        raise _not_stored(evaluation, error) from error
    return evaluation


def _not_stored(evaluation: Evaluation, error: StoreError) -> NotStored:
    unstored = NotStored(error.rule, value=error.value, place=error.place, fix=error.fix)
    unstored.evaluation = evaluation
    return unstored


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
