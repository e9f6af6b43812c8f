"""Processes of this machine, as Linux tells of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def children(pid: int) -> list[int]:
    """Process ids of the children of a process; none if it is gone."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children and so on."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def command(pid: int) -> str:
    """Its command line; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], object], seconds: float, pause: float = 0.02) -> bool:
    """Whether it came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True


def fork_servers(pid: int) -> list[int]:
    """The fork servers of candidates below a process; candidates look like theirs."""
    found = {
        server for server in descendants(pid) if "star_core.training.processes.forkserver" in command(server)
    }
    return sorted(found - {child for server in found for child in children(server)})


def stop_candidate(server: int, seconds: float) -> int:
    """Stops the next candidate that a fork server has in training, and returns its process id."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for child in children(server):
            try:
                os.kill(child, 19)  # SIGSTOP
            except ProcessLookupError:
                continue
            if is_alive(child):
                return child
        time.sleep(0.001)
    raise AssertionError("no candidate was in training")
