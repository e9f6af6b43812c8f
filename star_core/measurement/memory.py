"""Memory that a process really holds: its resident set, and the most that ever was."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def held_bytes() -> int:
    """Resident bytes of this process now (its peak, where the system tells no more)."""
    return _status("VmRSS") or _peak_ever()


def peak_bytes() -> int:
    """The most resident bytes since ``reset_peak``, or since the process began."""
    return _status("VmHWM") or _peak_ever()


def reset_peak() -> bool:
    """Gives what is free back to the system and begins a new peak; false where that cannot be had."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _status(name: str) -> int:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)


def _peak_ever() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
