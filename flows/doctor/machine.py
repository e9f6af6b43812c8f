"""Cores, memory and disk, beside what the parameters ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from star_core import machine

from .finding import Finding, Project, ok, problem, warning

MIB, GIB = 1 << 20, 1 << 30
LITTLE, NONE = GIB, 100 * MIB
"""Free bytes of a disk that are few, and too few."""


def cores(project: Project) -> Iterator[Finding]:
    """Cores of this process, and the candidates trained at once."""
    count = len(machine.cores())
    params = project.params
    workers = params.workers
    threads = workers * params.training.threads
    each = params.training.threads
    text = f"{count}; candidates at once: {workers}, with {each} thread{'' if each == 1 else 's'} each"
    if params.runtime.on_cluster:
        yield ok("cores", f"{count} here; candidates are trained by {params.runtime.runner}")
    elif threads > count and params.training.accelerator != "gpu":
        yield warning("cores", text, "set runtime.workers to null: more threads than cores are slower")
    else:
        yield ok("cores", text)


def memory(project: Project) -> Iterator[Finding]:
    """Free memory, beside what candidates may take together."""
    free = available_memory()
    params = project.params
    wanted = params.workers * params.runtime.memory_mib * MIB
    text = f"{gib(free)} free, candidates may take {gib(wanted)} together"
    if params.runtime.on_cluster or wanted <= free:
        yield ok("memory", text)
    else:
        yield warning("memory", text, "lower runtime.workers or runtime.memory_mib, or free memory")


def disk(project: Project) -> Iterator[Finding]:
    """Free space of the project folder, and of local storage elsewhere."""
    places = {"disk": project.root}
    location = project.params.runtime.storage
    if "://" not in location:
        places["disk of the storage"] = project.root / location
    seen = set()
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        if there.stat().st_dev in seen:
            continue
        seen.add(there.stat().st_dev)
        free = shutil.disk_usage(there).free
        text = f"{gib(free)} free at {there}"
        if free < LITTLE:
            kind = problem if free < NONE else warning
            yield kind(name, text, "free space: a run stops when a result cannot be written")
        else:
            yield ok(name, text)


def available_memory() -> int:
    """Bytes that can be had without swapping, of the machine or of this container."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return min(free, int(limit) - int(used))
    except (OSError, ValueError):  # no limit
        return free


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / GIB:,.1f} GiB" if size >= GIB else f"{size / MIB:,.0f} MiB"
