"""Several dense maps of one input.

Legend: D channels in, S channels out; any axes before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional


def projections(h_D: torch.Tensor, weights_SD: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The products h Wᵀ, in the type of ``h``, whatever that of the weights."""
    if len(weights_SD) < 2 or not torch.is_grad_enabled():
        return tuple(functional.linear(h_D, _like(weight_SD, h_D)) for weight_SD in weights_SD)
    made: tuple[torch.Tensor, ...] = _Projections.apply(h_D, *weights_SD)  # type: ignore[no-untyped-call]
    return made


class _Projections(torch.autograd.Function):
    """The gradient of the input, Σ dy W, is summed inside the matrix products, not after them."""

    @staticmethod
    def forward(ctx: Any, h_D: torch.Tensor, *weights_SD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.save_for_backward(h_D, *weights_SD)
        ctx.set_materialize_grads(False)
        return tuple(functional.linear(h_D, _like(weight_SD, h_D)) for weight_SD in weights_SD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads_S: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        h_D, *weights_SD = ctx.saved_tensors
        h_ND = h_D.flatten(0, -2)
        dh_ND: torch.Tensor | None = None
        dweights_SD: list[torch.Tensor | None] = []
        for dy_S, weight_SD in zip(grads_S, weights_SD, strict=True):
            if dy_S is None:
                dweights_SD.append(None)
                continue
            dy_NS = dy_S.flatten(0, -2)
            cast_SD = _like(weight_SD, dy_NS)
            dh_ND = dy_NS @ cast_SD if dh_ND is None else dh_ND.addmm_(dy_NS, cast_SD)
            dweights_SD.append(_like(dy_NS.mT @ h_ND, weight_SD))
        return None if dh_ND is None else dh_ND.view_as(h_D), *dweights_SD


def _like(x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == other.dtype else x.to(other.dtype)
