"""The four backbones that are measured at size, and the step that trains one.

Legend: B batch, L length, V vocabulary.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.device.project import (
    GATED,
    Architecture,
    LanguageModelTraining,
    SearchSpace,
    Size,
    Training,
    compile_genome,
)
from benchmarks.device.project import (
    compiled as compile_classes,
)

ATTENTION, CONVOLUTION = "SA-3", "GConv-1"
TRANSFORMER, HYBRID, RANDOM = "Transformer++", "LFM2-like", ("random 0", "random 1")
STACKS = (TRANSFORMER, HYBRID, *RANDOM)


def architecture(stack: str, size: Size) -> Architecture:
    """A backbone of so many mixers, each followed by a gated unit; the random ones have as many LIVs."""
    if stack in RANDOM:
        space = SearchSpace.preset("paper", depth=2 * size.blocks)
        rng = np.random.default_rng(RANDOM.index(stack))
        return compile_genome(space.sample(rng), space, size.width, size.head_dim, size.vocab_size)
    # LFM2 has two short convolutions to an attention, about.
    mixers = (CONVOLUTION, CONVOLUTION, ATTENTION) if stack == HYBRID else (ATTENTION,)
    return compile_classes(
        [name for i in range(size.blocks) for name in (mixers[i % len(mixers)], GATED)], size
    )


class TrainingStep:
    """The project's own step, without Lightning's loop: forward, loss, backward, clip, AdamW.

    Args:
        model: Tokens (B, L) to logits (B, L, V).
        half: Autocast to bfloat16.
        compiled: Whether torch.compile compiles the model.
    """

    def __init__(self, model: nn.Module, half: bool, compiled: bool = False) -> None:
        self._recipe, self._half = Training(), half
        self._device = next(model.parameters()).device
        backend = "inductor" if self._device.type == "cuda" else "aot_eager"  # toy sizes compile for minutes
        forward: Any = torch.compile(model, backend=backend) if compiled else model
        self._module = LanguageModelTraining(forward, self._recipe, 1e-3)
        self._module.to(self._device)
        self._optimizer = self._module.configure_optimizers()["optimizer"]

    def __call__(self, tokens_BL: torch.Tensor) -> torch.Tensor:
        """The loss of this step, on its device."""
        autocast = (
            torch.autocast(self._device.type, torch.bfloat16) if self._half else contextlib.nullcontext()
        )
        self._optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = self._module.training_step(tokens_BL, 0)
        loss.backward()
        self._module.configure_gradient_clipping(self._optimizer, self._recipe.clip)
        self._optimizer.step()
        return loss.detach()


def seconds_of(work: Callable[[], object], finish: Callable[[], None], repeats: int) -> float:
    """Median seconds of a run, the device's work included."""
    taken = []
    for _ in range(repeats):
        finish()
        begin = time.perf_counter()
        work()
        finish()
        taken.append(time.perf_counter() - begin)
    return median(taken)
