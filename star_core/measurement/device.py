"""Where a model is measured: how to wait until work is done, and how to read memory."""

from __future__ import annotations

import torch

from star_core.errors import ConfigError
from star_core.machine import free_memory_bytes
from star_core.measurement import memory

_TORCH = {"cpu": "cpu", "gpu": "cuda"}


class Device:
    """A CPU or a CUDA GPU.

    Args:
        name: ``cpu`` or ``gpu``, as in a machine's fingerprint.

    Attributes:
        keeps_busy: Whether the thread that asks for work does it itself.

    Raises:
        ConfigError: Neither of them.
    """

    def __init__(self, name: str) -> None:
        if name not in _TORCH:
            raise ConfigError(
                "latency and memory are measured on a CPU or a CUDA GPU",
                value=name,
                place="training.accelerator",
                fix="use cpu",
            )
        self.keeps_busy = name == "cpu"
        self.torch_device = torch.device(_TORCH[name])

    def finish(self) -> None:
        """Waits until all that was asked for is done."""
        if self.torch_device.type == "cuda":
            torch.cuda.synchronize()

    def free_bytes(self) -> int:
        """Memory that can be had now."""
        if self.torch_device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.torch_device)[0])
        return free_memory_bytes()

    def held_bytes(self) -> int:
        """Memory that is held now, after what is free was given back."""
        self.reset_peak()
        return torch.cuda.memory_allocated() if self.torch_device.type == "cuda" else memory.held_bytes()

    def reset_peak(self) -> None:
        """Begins a new peak."""
        if self.torch_device.type == "cuda":
            self.finish()
            torch.cuda.reset_peak_memory_stats()
        else:
            memory.reset_peak()

    def peak_bytes(self) -> int:
        """The most that was held since."""
        self.finish()
        return torch.cuda.max_memory_allocated() if self.torch_device.type == "cuda" else memory.peak_bytes()
