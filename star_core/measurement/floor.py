"""What this machine allows at best: matrix products and reading memory, on as many threads as are set."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from star_core.measurement.device import Device

_SIDE = 1024
_REPEATS = 5
_MOST_BYTES = 1 << 30
_COLUMNS = 1024


def flops_per_second(device: Device) -> float:
    """Of a product of two float32 matrices of 1024 × 1024, the best of a few."""
    left, right = (torch.ones(_SIDE, _SIDE, device=device.torch_device) for _ in range(2))
    product = torch.empty_like(left)
    return 2 * _SIDE**3 / _best(lambda: torch.mm(left, right, out=product), device)


def bytes_per_second(num_bytes: int, device: Device) -> float:
    """Of reading that many bytes (1 GiB at most) once, the best of a few.

    As many as a model reads for a token, so that a cache that holds the model counts for both.
    """
    rows = max(1, min(num_bytes, _MOST_BYTES) // (4 * _COLUMNS))
    matrix = torch.ones(rows, _COLUMNS, device=device.torch_device)
    flat, vector = matrix.view(-1), matrix[0].clone()
    fastest = min(_best(lambda: torch.mv(matrix, vector), device), _best(flat.sum, device))
    return 4 * _COLUMNS * rows / fastest


def _best(work: Callable[[], object], device: Device) -> float:
    """Seconds of the fastest of some runs after a first."""
    seconds = []
    for _ in range(1 + _REPEATS):
        device.finish()
        begin = time.perf_counter()
        work()
        device.finish()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])
