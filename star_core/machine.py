"""What this machine is: processor, cores, GPUs, and what of them can change a result. No torch here."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from star_core.errors import ConfigError

_PROCESSOR = ("vendor_id", "model name", "cpu family", "model", "stepping", "cache size")
_CPUINFO = Path("/proc/cpuinfo")
_UNNAMED = "GenuineIntel"
"""The processor vendor of keys that name none: keys were made on it before they told vendors apart."""
_DRIVER = Path("/proc/driver/nvidia/gpus")
_CGROUP = Path("/sys/fs/cgroup")


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


def free_memory_bytes() -> int:
    """Memory that can be had now without anything being killed or swapped out for it.

    A container has no more than its limit, of which what it caches of files can be given back.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        most, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or none with a limit
        return free
    return max(0, min(free, most - used + int(cached.get("inactive_file", 0))))


def _processor() -> str:
    """Maker, model and outer cache, as the system tells them."""
    try:
        fields = _cpuinfo()
    except OSError:
        return platform.processor() or platform.machine()
    known = [fields[name] for name in _PROCESSOR if name in fields]
    return ", ".join(known) or platform.machine()


def _cpuinfo() -> dict[str, str]:
    """What the system tells of the first processor."""
    first = _CPUINFO.read_text().split("\n\n", 1)[0]
    lines = (line.partition(":") for line in first.split("\n"))
    return {key.strip(): value.strip() for key, _, value in lines}


def _gpu() -> str:
    """Models of the GPUs, without initialising CUDA: no forked child could use it then."""
    names = set()
    for path in sorted(_DRIVER.glob("*/information")):
        for line in path.read_text().splitlines():
            if line.startswith("Model:"):
                names.add(line.partition(":")[2].strip())
    return ", ".join(sorted(names)) or "unknown"


def machine_fingerprint(accelerator: str = "auto") -> dict[str, str]:
    """What of this machine can change the bits of a result; found without importing torch.

    With one instruction set, kernels still differ by the processor's vendor, which is named unless it is
    the one that the first stored keys were made on. GPUs are named by their models: results of two models
    never have one key.
    """
    found = {
        "torch": importlib.metadata.version("torch"),
        "device": _device(accelerator),
        "instruction_set": _instruction_set(),
    }
    if found["device"] == "gpu":
        found["gpu"] = _gpu()
    vendor = _vendor()
    return found if vendor in ("", _UNNAMED) else {**found, "vendor": vendor}


def _vendor() -> str:
    """Who made the processor; empty where the system does not tell."""
    try:
        fields = _cpuinfo()
    except OSError:
        return ""
    return fields.get("vendor_id") or fields.get("CPU implementer", "")


def possible_fingerprints() -> Iterator[dict[str, str]]:
    """Fingerprints of machines with the same release of torch: by these a key tells where it was made."""
    release = importlib.metadata.version("torch").partition("+")[0]
    for torch, device, instructions, vendor in itertools.product(
        (release, f"{release}+cpu", importlib.metadata.version("torch")),
        ("cpu", "gpu", "mps"),
        ("avx512", "avx2", "default", "aarch64", "arm64", _instruction_set()),
        ("", "AuthenticAMD", "HygonGenuine", "0x41", _vendor()),
    ):
        found = {"torch": torch, "device": device, "instruction_set": instructions}
        yield found if vendor in ("", _UNNAMED) else {**found, "vendor": vendor}


def machine_differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """How two fingerprints differ, in words: ``vendor GenuineIntel there, AuthenticAMD here``."""
    theirs, ours = ({"vendor": _UNNAMED, "gpu": "none", **each} for each in (theirs, ours))
    names = ("vendor", "instruction_set", "torch", "device", "gpu")
    return [
        f"{name.replace('_', ' ')} {theirs[name]} there, {ours[name]} here"
        for name in names
        if theirs[name] != ours[name]
    ]


def check_device(accelerator: str) -> None:
    """Raises ``ConfigError`` if this machine lacks the processor that the recipe asks for."""
    present = {"cpu", _device("auto")}
    if accelerator != "auto" and accelerator not in present:
        raise ConfigError(
            "this machine has no such processor, or torch was installed without it",
            value=accelerator,
            place="training.accelerator",
            fix=f"use auto or {_device('auto')}",
        )


def _device(accelerator: str) -> str:
    if accelerator != "auto":
        return accelerator
    cuda_build = not importlib.metadata.version("torch").endswith("+cpu")
    if cuda_build and Path("/dev/nvidiactl").exists():
        return "gpu"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "mps"
    return "cpu"


def _instruction_set() -> str:
    """The widest vector instructions torch's CPU kernels choose here."""
    override = os.environ.get("ATEN_CPU_CAPABILITY")
    if override:
        return override
    try:
        flags = _CPUINFO.read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        return platform.machine()
    if {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= set(flags):
        return "avx512"
    return "avx2" if "avx2" in flags else "default"


def _gpus() -> list[str]:
    """Identifiers of the GPUs this process may use, without asking CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    found = [path.name for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(index) for index in range(len(found))]


def device_of(slot: int, accelerator: str) -> str | None:
    """The GPU of a place in the pool, so that places share them out evenly; ``None``: no choice."""
    if machine_fingerprint(accelerator)["device"] != "gpu":
        return None
    gpus = _gpus()
    return gpus[slot % len(gpus)] if gpus else None


def default_workers(accelerator: str, threads: int) -> int:
    """Candidates to train at once: one per GPU, or as many as have a core for each thread."""
    if machine_fingerprint(accelerator)["device"] == "gpu":
        return max(1, len(_gpus()))
    return max(1, len(cores()) // threads)
