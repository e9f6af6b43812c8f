"""A model at work on this machine: reading a prompt, writing behind a context, and the memory of both.

Shapes: B batch (always 1 here), L length, V vocabulary.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from star_core import units
from star_core.architecture import Architecture
from star_core.config import FIRST_RUNTIME
from star_core.measurement.device import Device
from star_core.measurement.timing import STEPS, Task, Timing, timing
from star_core.objectives.runtimes import runtime

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
        runtime: What computes, by its name in ``star_core.objectives.runtimes``.
        weights: Precision of its matrices.
        version: Of the runtime; empty: any.
        threads: That compute.
        rounds: How often all is timed where others keep the machine busy, at the most.
    """

    vocab_size: int
    prompt: int
    context: int
    repeats: int
    runtime: str = "eager"
    weights: str = "f32"
    version: str = ""
    threads: int = 1
    rounds: int = 3

    @property
    def longest(self) -> int:
        """Tokens that the cache has to hold."""
        return max(self.prompt, self.context + STEPS)


class Session(ABC):
    """One sequence on one runtime: a prompt that is read, then tokens that are written one by one.

    Weights are random: they change no cost.

    Args:
        conditions: Lengths and repeats.
        device: Device to run on.
    """

    def __init__(self, conditions: Conditions, device: Device) -> None:
        self.conditions, self.device = conditions, device

    def prefill_time(self) -> Timing:
        """Seconds from the prompt to its first token."""
        return timing(self.reading(), self.conditions.repeats)

    def decode_time(self) -> Timing:
        """Seconds of one token behind the context."""
        return timing(self.writing(), self.conditions.repeats)

    def reading(self) -> Task:
        """What is timed of the prompt."""
        return Task(self.prefill, self.empty, busy=self.device.keeps_busy)

    def writing(self) -> Task:
        """What is timed behind the context, which this makes the cache hold."""
        self.fill()
        return Task(self.decode, self.rewind, STEPS, self.device.keeps_busy)

    @classmethod
    def kernels(cls, architecture: Architecture, conditions: Conditions) -> dict[str, int]:
        """What the runtime computes one step with: kernel → how often; empty where it does not tell."""
        return {}

    @abstractmethod
    def prefill(self) -> None:
        """Reads the prompt up to the choice of its first token."""

    @abstractmethod
    def decode(self) -> None:
        """Writes ``STEPS`` tokens, each the likeliest behind the one before."""

    @abstractmethod
    def empty(self) -> None:
        """Forgets what was read."""

    @abstractmethod
    def fill(self) -> None:
        """Makes the cache hold the context; random states cost what real ones cost."""

    @abstractmethod
    def rewind(self) -> None:
        """Makes the cache hold no more than the context."""


def open_session(architecture: Architecture, conditions: Conditions, device: Device) -> Session:
    """A session on the runtime of the conditions.

    Raises:
        ConfigError: The runtime is not installed, or cannot run this architecture.
        MemoryError: It cannot fit into what memory is free; nothing has been allocated then.
    """
    _check_memory(architecture, conditions, device)
    make = cast(Callable[[Architecture, Conditions, Device], Session], session_class(conditions))
    return make(architecture, conditions, device)


def session_class(conditions: Conditions) -> type[Session]:
    """What opens a session on the runtime of the conditions."""
    module, _, name = runtime(conditions.runtime, conditions.weights).target.partition(":")
    return cast(type[Session], getattr(importlib.import_module(module), name))


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
    _exercise(open_session(twin, short, device))
    before = device.held_bytes()
    session = open_session(architecture, conditions, device)
    # Drawing the weights takes memory of its own.
    device.reset_peak()
    _exercise(session)
    return session, device.peak_bytes() - before


def least_bytes(architecture: Architecture, conditions: Conditions) -> int:
    """What a session holds at least: weights, which graphs are written from, and the cache, in float32.

    Torch also gives the logits of the whole prompt.
    """
    logits = conditions.prompt * conditions.vocab_size if conditions.runtime == FIRST_RUNTIME else 0
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
