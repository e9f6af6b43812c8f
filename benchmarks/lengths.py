"""How the cost of one layer grows with the length: exponents of time and of peak memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from torch.profiler import ProfilerActivity, profile

from benchmarks.stacks import Size, classes, compiled, random_tokens, training_member
from benchmarks.timing import Clock, Work, exponent, in_turn
from star_core import build_model
from star_core.errors import GenomeError
from star_core.structures.low_rank import LOW_RANK
from star_core.vocabulary.operator import LIVClass
from star_core.vocabulary.tables import Nonlinearity, Sparsity

LENGTHS = (512, 1024, 2048, 4096, 8192)
LIMIT = 1.1


@dataclass(frozen=True, slots=True)
class Growth:
    """Forward and backward of one layer of width 256, at each of ``LENGTHS``.

    Attributes:
        name: LIV class.
        seconds: Time.
        peak_bytes: Most memory held at a time.
        bounded: Whether its cost has to be linear.
    """

    name: str
    seconds: tuple[float, ...]
    peak_bytes: tuple[int, ...]
    bounded: bool

    @property
    def time(self) -> float:
        """Exponent of time."""
        return exponent(LENGTHS, self.seconds)

    @property
    def memory(self) -> float:
        """Exponent of peak memory."""
        return exponent(LENGTHS, self.peak_bytes)

    @property
    def state(self) -> str:
        """Whether both are at most 1.1; attention without a band is not asked."""
        if not self.bounded:
            return "quadratic"
        return "met" if max(self.time, self.memory) <= LIMIT else "MISSED"

    def __str__(self) -> str:
        last = [math.log2(costs[-1] / costs[-2]) for costs in (self.seconds, self.peak_bytes)]
        spans = (
            " ".join(f"{1e3 * value:7.1f}" for value in self.seconds),
            " ".join(f"{value / 2**20:6.1f}" for value in self.peak_bytes),
        )
        return (
            f"{self.name:<18} {spans[0]}  {self.time:5.2f} {last[0]:5.2f}   {spans[1]}  {self.memory:5.2f} "
            f"{last[1]:5.2f}   {self.state}"
        )


def heading() -> str:
    """Title and column names."""
    lengths = [" ".join(f"{length:>{width}}" for length in LENGTHS) for width in (7, 6)]
    line = (
        f"{'ms, MiB at':<18} {lengths[0]}  {'time':>5} {'last':>5}   {lengths[1]}  {'mem.':>5} {'last':>5}   "
        f"<= {LIMIT}"
    )
    return (
        "\nOne layer, forward and backward, batch 1: time and peak memory, their exponents over all lengths "
        f"and over the last doubling\n{line}\n{'-' * len(line)}"
    )


def peak_bytes(work: Work) -> int:
    """Most bytes that torch's allocator holds at a time, beyond what it held before, while ``work`` runs."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    results = profiler.profiler.kineto_results
    events = sorted(
        (event.start_ns(), event.nbytes()) for event in results.events() if event.name() == "[memory]"
    )
    held = most = 0
    for _, num_bytes in events:
        held += num_bytes
        most = max(most, held)
    return most


def growth(name: str, rounds: int, clock: Clock) -> Growth:
    """Measures one class. Its model has the layer, the final norm and two tokens: nothing else to speak of.

    Raises:
        GenomeError: The class cannot be compiled.
    """
    size = Size(vocab_size=2)
    arch = compiled((name,), size)
    model = build_model(arch, seed=0)
    members = [training_member(str(length), model, random_tokens(size, 1, length + 1)) for length in LENGTHS]
    seconds = in_turn(members, rounds, clock)
    peaks = []
    for member in members:
        member.prepare()
        peaks.append(peak_bytes(member.work))
    times = tuple(median(seconds[member.name]) for member in members)
    return Growth(name, times, tuple(peaks), not _quadratic(classes()[name]))


def _quadratic(entry: LIVClass) -> bool:
    """Whether a nonlinearity on all scores between tokens keeps them from being factorised."""
    operator = entry.operator
    return (
        operator.token_mixing == LOW_RANK.allele
        and operator.nonlinearity is not Nonlinearity.NONE
        and operator.sparsity is Sparsity.NONE
    )


def measure(rounds: int, clock: Clock) -> Iterator[Growth]:
    """All classes of the table that compile, differential ones too."""
    for name in classes():
        try:
            yield growth(name, rounds, clock)
        except GenomeError:
            continue
