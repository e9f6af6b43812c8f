"""What mixed precision means here.

Projections, gates and short filters run in half precision, as do the values of long fused attention;
decays, long filters, sums over many tokens and norms do not.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

SHORT = 512
"""Tokens up to which fused attention on a CPU, its backward above all, is slower in half precision."""


def full_precision(x: torch.Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the device of ``x``; free where autocast is off."""
    if not _is_autocast(x):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def projection_input(x: torch.Tensor) -> torch.Tensor:
    """``x`` as projections will read it: under autocast it is cast once, not once for each of them."""
    return x.to(torch.get_autocast_dtype(x.device.type)) if _is_autocast(x) else x


def attention_input(x: torch.Tensor, tokens: int) -> torch.Tensor:
    """``x`` in the precision in which attention over ``tokens`` tokens is fastest on its device."""
    half = x.dtype in (torch.bfloat16, torch.float16)
    slow = x.device.type == "cpu" and tokens <= SHORT and torch.is_grad_enabled()
    return x.float() if half and slow else x


def _is_autocast(x: torch.Tensor) -> bool:
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)
