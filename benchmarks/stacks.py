"""Our side of the comparisons: LIV classes by name, in order of depth, as a compiled spec.

Legend: B batch, L length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from benchmarks.timing import Member
from star_core import Architecture, Genome, SearchSpace, compile_genome
from star_core.genome.backbone import LIV
from star_core.structures import class_table
from star_core.vocabulary.operator import LIVClass

GATED = "GMemless"
LINEAR = "LA-1"


@dataclass(frozen=True, slots=True)
class Size:
    """What ours and the peer have in common.

    Attributes:
        width: Channels D.
        head_dim: Channels per head E.
        blocks: Mixers; a gated unit follows each, except in purely recurrent stacks.
        vocab_size: Tokens V.
        length: Most tokens of a sequence.
    """

    width: int = 256
    head_dim: int = 64
    blocks: int = 6
    vocab_size: int = 256
    length: int = 512

    @property
    def heads(self) -> int:
        """Heads H."""
        return self.width // self.head_dim


@lru_cache(maxsize=1)
def classes() -> Mapping[str, LIVClass]:
    """The class table by name."""
    return {entry.name: entry for entry in class_table().values()}


def compiled(names: Sequence[str], size: Size) -> Architecture:
    """The spec of LIVs of these classes, in this order, without sharing.

    Raises:
        GenomeError: A class cannot be compiled.
    """
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
    space = SearchSpace(
        "benchmark", {number: classes()[name] for name, number in numbers.items()}, len(names)
    )
    genome = Genome(tuple(LIV(numbers[name]) for name in names))
    return compile_genome(genome, space, size.width, size.head_dim, size.vocab_size)


def random_tokens(size: Size, batch: int, length: int) -> torch.Tensor:
    """(B, L) tokens, the same at every call."""
    return torch.randint(size.vocab_size, (batch, length), generator=torch.Generator().manual_seed(0))


def training_member(name: str, model: nn.Module, tokens_BL: torch.Tensor, bf16: bool = False) -> Member:
    """Forward, mean cross entropy of the next token and backward; gradients start from nothing."""
    inputs_BL, targets_BL = tokens_BL[:, :-1].contiguous(), tokens_BL[:, 1:].contiguous()

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits_BLV = model(inputs_BL)
            loss = functional.cross_entropy(logits_BLV.flatten(0, 1).float(), targets_BL.flatten())
        loss.backward()

    return Member(name, work, lambda: model.zero_grad(set_to_none=True))


def millions(model: nn.Module) -> float:
    """Parameters, in millions."""
    return sum(weight.numel() for weight in model.parameters()) / 1e6
