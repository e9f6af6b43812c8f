"""Training speed: our stacks beside their rivals, forward, cross entropy and backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import torch

from benchmarks import peers
from benchmarks.machine import Peak
from benchmarks.peers import Rival
from benchmarks.stacks import GATED, LINEAR, Size, compiled, millions, random_tokens, training_member
from benchmarks.table import Line, Skipped
from benchmarks.timing import Clock, Member, Ratio, fastest, in_turn
from star_core import build_model
from star_core.errors import GenomeError

TOKENS = 4096
"""Of a batch."""


@dataclass(frozen=True, slots=True)
class Contest:
    """One of our stacks and its rivals in one setting.

    Attributes:
        row: By which it is selected.
        block: LIV classes, repeated.
        rivals: Peers, of six blocks.
        length: Tokens per sequence; a batch has 4096 in all.
        bf16: Autocast to bfloat16, for ours and for the peers.
        peak_goal: Least share of the matmul peak.
        repeats: Blocks of ours.
    """

    row: str
    block: tuple[str, ...]
    rivals: tuple[Rival, ...]
    length: int = 512
    bf16: bool = False
    peak_goal: float | None = None
    repeats: int = 6

    @property
    def title(self) -> str:
        """Ours and the setting."""
        times = "" if self.repeats == 6 else f" x{self.repeats}"
        return f"{' + '.join(self.block)}{times}, {'bf16' if self.bf16 else 'fp32'} {self.length}"


def _recurrent(name: str, state: int, as_large: int) -> tuple[Contest, ...]:
    """Mixers only, at equal depth; and against Mamba-2 once more with about as many parameters as it has."""
    rivals = (peers.uncached(peers.mamba2(state, 2.0)), peers.uncached(peers.mamba(state, 4.0)))
    larger = (peers.uncached(peers.mamba2(state, None)),)
    return Contest("rec", (name,), rivals), Contest("rec", (name,), larger, repeats=as_large)


CONTESTS = (
    Contest("sa", ("SA-1", GATED), (peers.bare_sdpa(0.95),)),
    Contest("sa", ("SA-1", GATED), (peers.bare_sdpa(None),), length=2048),
    Contest("sa", ("SA-1", GATED), (peers.bare_sdpa(None, bf16=True),), bf16=True),
    Contest("gqa", ("SA-3", GATED), (peers.uncached(peers.llama(1, 1.35)),), peak_goal=0.55),
    Contest("gconv", ("GConv-1", GATED), (peers.uncached(peers.lfm2(1.1)), peers.bare_sdpa(0.95))),
    Contest("gconv", ("GConv-1", GATED), (peers.uncached(peers.lfm2(None)), peers.bare_sdpa(1.5)), 2048),
    Contest(
        "gconv",
        ("GConv-1", GATED),
        (peers.uncached(peers.lfm2(None)), peers.bare_sdpa(1.5, bf16=True)),
        bf16=True,
    ),
    Contest("gconv2", ("GConv-2", GATED), (peers.bare_sdpa(0.95),)),
    Contest("gconv2", ("GConv-2", GATED), (peers.bare_sdpa(1.25),), length=2048),
    *_recurrent("Rec-1", 16, 8),
    *_recurrent("Rec-2", 2, 9),
    Contest("linear", (LINEAR, GATED), (peers.recurrent_loop(None), peers.bare_sdpa(0.95))),
    Contest(
        "linear", (LINEAR,), (peers.recurrent_loop(None, gated=False), peers.sliced_loop(None, gated=False))
    ),
    Contest("linear", (LINEAR, GATED), (peers.bare_sdpa(1.4),), length=2048),
    Contest("diff", ("SA-1-Diff", GATED), (peers.uncached(peers.llama(None, 1.3, "DiffLlama")),)),
    Contest("diff", ("SA-4-Diff", GATED), (peers.uncached(peers.llama(2, 1.3, "DiffLlama")),)),
)
"""SA-2-Diff and SA-3-Diff have no peer: DiffLlama has no short filters, and an even number of key heads."""


@dataclass(frozen=True, slots=True)
class Opponent:
    """A rival in its fastest variant."""

    member: Member
    size: float


def opponent_of(
    rival: Rival, contest: Contest, size: Size, tokens_BL: torch.Tensor, clock: Clock
) -> Opponent:
    """Builds and tries all variants of a rival.

    Raises:
        ModuleNotFoundError: What it is made of is not installed.
    """
    members, sizes = [], {}
    for variant, build in rival.variants.items():
        torch.manual_seed(0)
        model = build(size)
        name = f"{rival.name}, {variant}" if variant else rival.name
        members.append(training_member(name, model, tokens_BL, contest.bf16))
        sizes[name] = millions(model)
    chosen = fastest(members, clock)
    return Opponent(chosen, sizes[chosen.name])


def measure(
    contest: Contest, rounds: int, clock: Clock, peaks: Mapping[bool, Peak]
) -> Iterator[Line | Skipped]:
    """A line per rival, all measured in turn; and one for the peak, if there is a goal for it."""
    size = Size(length=contest.length)
    try:
        arch = compiled(contest.block * contest.repeats, size)
    except GenomeError as error:
        yield Skipped(contest.title, "", str(error))
        return
    tokens_BL = random_tokens(size, TOKENS // contest.length, contest.length + 1)
    found = []
    for rival in contest.rivals:
        try:
            found.append((rival, opponent_of(rival, contest, size, tokens_BL, clock)))
        except ModuleNotFoundError as error:
            yield Skipped(contest.title, rival.name, str(error))
    model = build_model(arch, seed=0)
    ours = training_member("ours", model, tokens_BL, contest.bf16)
    peak = peaks[contest.bf16]
    members = [ours, *(opponent.member for _, opponent in found), peak.member]
    seconds = in_turn(members, rounds, clock, warmup=2)
    mine, product = seconds[ours.name], seconds[members[-1].name]
    # The time the same FLOPs would take as matrix products, in each round.
    flops = arch.training_flops(TOKENS, contest.length)
    ideal = [duration * flops / peak.matmul.flops for duration in product]
    of_peak = Ratio.of(mine, ideal)
    speed, gflops = TOKENS / median(mine), flops / median(mine) / 1e9
    for rival, opponent in found:
        theirs = seconds[opponent.member.name]
        yield Line(
            contest.title,
            opponent.member.name,
            (speed, TOKENS / median(theirs)),
            Ratio.of(mine, theirs),
            rival.goal,
            (millions(model), opponent.size),
            gflops,
            of_peak.middle,
        )
    if contest.peak_goal is not None:
        yield Line(contest.title, "matmul peak", (speed, TOKENS / median(ideal)), of_peak, contest.peak_goal)
