"""Which machine a measurement was made on: everything that changes seconds. Nothing here imports torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from star_core.evaluation import machine_fingerprint

_PROCESSOR = ("vendor_id", "model name", "cpu family", "model", "stepping", "cache size")
_DRIVER = Path("/proc/driver/nvidia/gpus")


def fingerprint(accelerator: str = "auto", threads: int = 1) -> dict[str, str]:
    """Of this machine: what changes a result's bits, and processor, cores, threads and GPU besides."""
    machine = machine_fingerprint(accelerator)
    return {
        **machine,
        "processor": _processor(),
        "cores": str(len(cores())),
        "threads": str(threads),
        "gpu": _gpu() if machine["device"] == "gpu" else "",
    }


def cores() -> tuple[int, ...]:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def _processor() -> str:
    """Maker, model and outer cache, as the system tells them."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    except OSError:
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in first.split("\n"))
    fields = {key.strip(): value.strip() for key, _, value in lines}
    known = [fields[name] for name in _PROCESSOR if name in fields]
    return ", ".join(known) or platform.machine()


def _gpu() -> str:
    """Models of the GPUs, without initialising CUDA: no forked child could use it then."""
    names = set()
    for path in sorted(_DRIVER.glob("*/information")):
        for line in path.read_text().splitlines():
            if line.startswith("Model:"):
                names.add(line.partition(":")[2].strip())
    return ", ".join(sorted(names)) or "unknown"
