"""Processes told apart from all others that ever ran, so that one can be known to be gone."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Holder:
    """A process of some machine.

    Attributes:
        boot: The kernel's name for the time since it was started.
        namespace: In which its number counts: containers of one machine have numbers of their own.
        pid: Its number.
        started: Clock ticks from the boot to its start; numbers are used again.
    """

    boot: str
    namespace: str
    pid: int
    started: int

    @classmethod
    def here(cls) -> Self | None:
        """This process; ``None`` where the kernel does not tell (it is Linux that does)."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            namespace = os.readlink("/proc/self/ns/pid")
            return cls(boot, namespace, os.getpid(), _state(os.getpid())[1])
        except (OSError, ValueError, IndexError):
            return None

    @classmethod
    def parse(cls, value: Any) -> Self | None:
        """The process that a lease names; ``None`` if it names none."""
        try:
            found = cls(**value)
        except TypeError:
            return None
        right = isinstance(found.boot, str) and isinstance(found.namespace, str)
        return found if right and type(found.pid) is type(found.started) is int and found.pid > 0 else None

    def to_json(self) -> dict[str, Any]:
        """As a lease names it."""
        return asdict(self)

    def is_gone(self) -> bool:
        """Whether it was a process of this machine and is no more; false if that cannot be known."""
        me = self.here()
        if me is None or (self.boot, self.namespace) != (me.boot, me.namespace):
            return False
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            pass  # another user's
        except OSError:
            return True
        try:
            state, started = _state(self.pid)
        except (OSError, ValueError, IndexError):
            return False
        return state in "ZX" or started != self.started


def _state(pid: int) -> tuple[str, int]:
    """State and start of a process, from the fields after its name, which may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return fields[0], int(fields[19])
