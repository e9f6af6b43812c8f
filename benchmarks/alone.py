"""Linear attention by itself, all tokens at once beside token by token: forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

import torch

from benchmarks.stacks import Size
from benchmarks.table import Line
from benchmarks.timing import Clock, Member, Ratio, in_turn
from star_core.livs.linear_attention import linear_attention, linear_attention_step

BATCH, LENGTH, HEAD_DIM, GOAL = 8, 512, 64, 10.0
Attention = Callable[..., torch.Tensor]


def at_once(C_BLHE: torch.Tensor, B_BLHE: torch.Tensor, V_BLHP: torch.Tensor) -> torch.Tensor:
    """In chunks."""
    return linear_attention(C_BLHE, B_BLHE, V_BLHP)


def token_by_token(C_BLHE: torch.Tensor, B_BLHE: torch.Tensor, V_BLHP: torch.Tensor) -> torch.Tensor:
    """The recurrence as decoding runs it."""
    state_BHEP = V_BLHP.new_zeros(BATCH, *C_BLHE.shape[2:], V_BLHP.shape[-1])
    made = []
    for C_BHE, B_BHE, V_BHP in zip(C_BLHE.unbind(1), B_BLHE.unbind(1), V_BLHP.unbind(1), strict=True):
        y_BHP, state_BHEP = linear_attention_step(C_BHE, B_BHE, V_BHP, state_BHEP)
        made.append(y_BHP)
    return torch.stack(made, 1)


def measure(rounds: int, clock: Clock) -> Iterator[Line]:
    """The line of the operator alone: features given, as many as a layer of the stacks has."""
    heads = Size().width // HEAD_DIM
    generator = torch.Generator().manual_seed(0)
    C, B, V, dy = (torch.randn(BATCH, LENGTH, heads, HEAD_DIM, generator=generator) for _ in range(4))
    leaves = [x.requires_grad_() for x in (C, B, V)]

    def member(name: str, attention: Attention) -> Member:
        return Member(name, lambda: torch.autograd.grad(attention(*leaves), leaves, dy))

    seconds = in_turn([member("ours", at_once), member("loop", token_by_token)], rounds, clock, warmup=2)
    mine, theirs = seconds["ours"], seconds["loop"]
    tokens = BATCH * LENGTH
    yield Line(
        "linear attention alone, fp32 512",
        "its steps in a loop",
        (tokens / median(mine), tokens / median(theirs)),
        Ratio.of(mine, theirs),
        GOAL,
    )
