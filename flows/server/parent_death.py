"""Processes that end with the process that started them, however that one ends.

``python -m star_flows.server.parent_death PARENT COMMAND …`` becomes the command. On systems other than
Linux nothing is done, and a process whose parent was killed lives on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Asks the kernel to send ``how`` to this process when its parent, process ``parent``, ends."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:  # it ended before it could be asked
        os.kill(os.getpid(), how)


def ending_with_parent(command: list[str]) -> list[str]:
    """The command that does the same and ends (``SIGTERM``) with the calling process."""
    return [sys.executable, "-P", "-m", "star_flows.server.parent_death", str(os.getpid()), *command]


if __name__ == "__main__":
    end_with(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])  # a request to the kernel stands across exec
