"""A model at work on this machine: reading a prompt, writing behind a context, and the memory of both.

Shapes: B batch (always 1 here), L length, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from star_core import units
from star_core.architecture import Architecture
from star_core.measurement.device import Device
from star_core.measurement.timing import Timing, timing
from star_core.models import build_model

STEPS = 16
"""Tokens written in one repeat."""
_SHORT = 64
"""Prompt and context of the small model that runs first."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is measured; with the architecture and the machine, what a measurement depends on.

    Attributes:
        vocab_size: Tokens V the model is compiled for.
        prompt: Tokens read until the first one is written.
        context: Tokens held while others are written.
        repeats: Undisturbed repeats of each timing.
        rounds: How often all is timed where others keep the machine busy, at the most.
    """

    vocab_size: int
    prompt: int
    context: int
    repeats: int
    rounds: int = 3

    @property
    def longest(self) -> int:
        """Tokens that the cache has to hold."""
        return max(self.prompt, self.context + STEPS)


class Session:
    """One sequence: a prompt that is read, then tokens that are written one by one.

    Args:
        architecture: What is built. Its weights are random: they change no cost.
        conditions: Lengths and repeats.
        device: Device to run on.

    Raises:
        MemoryError: It cannot fit into what memory is free; nothing has been allocated then.
    """

    def __init__(self, architecture: Architecture, conditions: Conditions, device: Device) -> None:
        self._conditions, self._device = conditions, device
        _check_memory(architecture, conditions, device)
        self._model = build_model(architecture).to(device.torch_device)
        self._cache = self._model.init_cache(1, conditions.longest)
        self._generator = torch.Generator(device.torch_device).manual_seed(0)
        self._prompt_BL = torch.randint(
            conditions.vocab_size,
            (1, conditions.prompt),
            generator=self._generator,
            device=device.torch_device,
        )

    def prefill_time(self) -> Timing:
        """Seconds from the prompt to its first token."""
        return timing(
            self.prefill, self._conditions.repeats, prepare=self._empty, busy=self._device.keeps_busy
        )

    def decode_time(self) -> Timing:
        """Seconds of one token behind the context."""
        self.fill()
        return timing(
            self.decode,
            self._conditions.repeats,
            prepare=self._rewind,
            share=STEPS,
            busy=self._device.keeps_busy,
        )

    @torch.inference_mode()
    def prefill(self) -> None:
        """Reads the prompt up to the choice of its first token."""
        logits_BLV, _ = self._model.prefill(self._prompt_BL, self._cache)
        int(logits_BLV[0, -1].argmax())

    @torch.inference_mode()
    def decode(self) -> None:
        """Writes ``STEPS`` tokens, each the likeliest behind the one before."""
        tokens_B = self._prompt_BL[:, 0]
        for _ in range(STEPS):
            logits_BV, _ = self._model.step(tokens_B, self._cache)
            tokens_B = logits_BV.argmax(-1)
        self._device.finish()

    def fill(self) -> None:
        """Makes the cache hold the context; random states cost what real ones cost."""
        for tensor in self._cache.tensors.values():
            tensor.normal_(std=0.1, generator=self._generator)
        self._rewind()

    def _empty(self) -> None:
        self._cache.reset()
        self._device.finish()

    def _rewind(self) -> None:
        self._cache.length = self._conditions.context
        self._device.finish()


def begin(
    architecture: Architecture, twin: Architecture, conditions: Conditions, device: Device
) -> tuple[Session, int]:
    """A session, and the bytes that this process held at the most beyond what it held before the model.

    That is weights, cache and whatever else is held while the prompt is read and tokens are written behind
    the context. No model may have run in this process before.

    Args:
        architecture: What is measured.
        twin: The same genome at a small width. It runs first, so that libraries have loaded what they load
            at first use.
        conditions: Lengths.
        device: Device to run on.
    """
    short = replace(conditions, vocab_size=twin.vocab_size, prompt=_SHORT, context=_SHORT)
    _exercise(Session(twin, short, device))
    before = device.held_bytes()
    session = Session(architecture, conditions, device)
    # Drawing the weights takes memory of its own.
    device.reset_peak()
    _exercise(session)
    return session, device.peak_bytes() - before


def least_bytes(architecture: Architecture, conditions: Conditions) -> int:
    """What a session holds at least, in float32: weights, the cache, and the logits of the prompt."""
    logits = conditions.prompt * conditions.vocab_size
    return 4 * (architecture.num_parameters + logits) + architecture.cache_bytes(conditions.longest)


def _check_memory(architecture: Architecture, conditions: Conditions, device: Device) -> None:
    needed, free = least_bytes(architecture, conditions), device.free_bytes()
    if needed > free:
        raise MemoryError(
            f"{units.size(needed)} of weights, cache and logits ({conditions.prompt:,} tokens of prompt, "
            f"{conditions.context:,} of context), {units.size(free)} are free"
        )


def _exercise(session: Session) -> None:
    session.prefill()
    session.fill()
    session.decode()
