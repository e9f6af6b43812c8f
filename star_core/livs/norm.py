"""Root-mean-square normalisation (arXiv 1910.07467).

Legend: D channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from star_core.structures.shapes import NORM_EPSILON


def rms_norm(x_D: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
    """Normalises the last axis: w · x / sqrt(mean(x²) + ε); any axes before it."""
    if not torch.is_grad_enabled():
        return _scaled(x_D, _rate(x_D), weight_D)
    y_D: torch.Tensor = _RMSNorm.apply(x_D, weight_D)  # type: ignore[no-untyped-call]
    return y_D


class _RMSNorm(torch.autograd.Function):
    """With r = 1 / sqrt(mean(x²) + ε): dx = r (w · dy - r² x mean(w · dy · x)), dw = Σ dy · r x.

    ``torch.nn.functional.rms_norm`` is not fused on a CPU. The backward of layer normalisation is, on
    every device; told that the mean is zero it yields dx less the mean of w · dy, which is added back.
    """

    @staticmethod
    def forward(ctx: Any, x_D: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
        rate = _rate(x_D)
        ctx.save_for_backward(x_D, rate, weight_D)
        return _scaled(x_D, rate, weight_D)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x_D, rate, weight_D = ctx.saved_tensors
        kinds = x_D.dtype, weight_D.dtype
        dy_D, x_D, weight_D = (x.to(rate.dtype) for x in (dy_D, x_D, weight_D))
        dx_D, dweight_D, _ = torch.ops.aten.native_layer_norm_backward(
            dy_D, x_D, weight_D.shape, torch.zeros_like(rate), rate, weight_D, None, [True, True, False]
        )
        mean = (dy_D @ weight_D).unsqueeze(-1) * rate / weight_D.numel()
        return (dx_D + mean).to(kinds[0]), dweight_D.to(kinds[1])


def _scaled(x_D: torch.Tensor, rate: torch.Tensor, weight_D: torch.Tensor) -> torch.Tensor:
    return x_D * (rate if rate.dtype == x_D.dtype else rate.to(x_D.dtype)) * weight_D


def _rate(x_D: torch.Tensor) -> torch.Tensor:
    """1 / sqrt(mean(x²) + ε), at least in float32: squares of half-precision numbers overflow or vanish."""
    precise = torch.promote_types(x_D.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x_D, dim=-1, keepdim=True, dtype=precise)
    return torch.rsqrt(norm.square() / x_D.shape[-1] + NORM_EPSILON)
