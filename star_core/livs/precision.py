"""Where mixed precision stops: projections may run in bfloat16, mixing over tokens does not.

Decays, Fourier transforms and the backward of short attention lose accuracy or time in bfloat16.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(x: torch.Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the device of ``x``; free where autocast is off."""
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)
