"""Being alone on a machine: one measurement at a time, on the quietest cores, and what others do then."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from star_core.errors import StarError
from star_core.machine import cores

_SHARED = Path("/tmp")
LOCK = (_SHARED if _SHARED.is_dir() else Path(tempfile.gettempdir())) / "star-measurement.lock"
"""Of the whole machine, whatever folder for temporary files a user or a job has."""
PATIENCE = 240.0
"""Seconds to wait for another measurement to end."""
_WATCHED = 0.1
"""Seconds that cores are watched before some are chosen."""
_POLL = 0.05


@contextmanager
def one_at_a_time(lock: Path = LOCK, patience: float = PATIENCE) -> Iterator[None]:
    """Waits until no other process of this machine measures; the lock goes with this process.

    Raises:
        StarError: Another measurement went on for ``patience`` seconds, or the lock cannot be used.
    """
    try:
        # Other users' locks can be read but not written: reading is enough.
        descriptor = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except PermissionError:
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StarError(
            f"the lock of measurements cannot be used ({error.strerror})",
            place=str(lock),
            fix="remove it",
        ) from error
    try:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise StarError(
                        f"another measurement went on for {patience:g} s",
                        place=str(lock),
                        fix="measure again when it is done",
                    ) from None
                time.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)


def pin(threads: int) -> tuple[int, ...]:
    """Binds this process to its ``threads`` least busy cores and returns them; nothing where it cannot be.

    Threads that are there already keep their cores: call it before torch makes any.
    """
    allowed = cores()
    if not hasattr(os, "sched_setaffinity") or threads >= len(allowed):
        return allowed
    before = _busy_seconds()
    time.sleep(_WATCHED)
    after = _busy_seconds()
    busy = {core: after.get(core, 0.0) - before.get(core, 0.0) for core in allowed}
    # Of cores that are equally quiet the last ones: interrupts tend to go to the first.
    chosen = tuple(sorted(sorted(allowed, key=lambda core: (busy[core], -core))[:threads]))
    os.sched_setaffinity(0, chosen)
    return chosen


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the machine and this process have been until now; differences tell what others did."""

    machine: float
    own: float
    wall: float

    @classmethod
    def now(cls) -> Load:
        """Seconds since some beginning: of all cores, of this process, of the clock."""
        return cls(sum(_busy_seconds().values()), time.process_time(), time.perf_counter())

    def of_others(self) -> float:
        """Cores that other processes kept busy since; 0 where the system does not tell."""
        later = Load.now()
        others = (later.machine - self.machine) - (later.own - self.own)
        return max(0.0, others / max(later.wall - self.wall, 1e-9)) if later.machine else 0.0


def _busy_seconds() -> dict[int, float]:
    """Seconds that each core has been busy since the system started; time that a host took away included."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return {}
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    for line in lines:
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, fields[:8])
            found[int(name[3:])] = (user + nice + system + interrupts + soft + stolen) / tick
    return found
