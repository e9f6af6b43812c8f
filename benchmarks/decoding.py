"""Speed of cached decoding, token by token behind a prompt; and how near it is to the memory's bandwidth.

Legend: B batch, L length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn

from benchmarks import peers
from benchmarks.machine import stream_member
from benchmarks.peers import Rival
from benchmarks.stacks import GATED, Size, compiled, millions, random_tokens
from benchmarks.table import Line, Skipped
from benchmarks.timing import Clock, Member, Ratio, fastest, in_turn
from star_core import build_model

PROMPT, STEPS = 512, 64
Step = Callable[[torch.Tensor], torch.Tensor]
"""Tokens (B, 1) → logits of the next ones (B, 1, V), of sequences whose prompt is in a cache."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """One of our stacks and its rival; ``recurrent``: the rival keeps a state rather than keys and values."""

    block: tuple[str, ...]
    rival: Rival
    recurrent: bool = False

    @property
    def argument(self) -> str:
        """By which the rival takes its cache."""
        return "cache_params" if self.recurrent else "past_key_values"


DECODINGS = (
    Decoding(("SA-1", GATED), peers.llama(None, 1.7)),
    Decoding(("SA-3", GATED), peers.llama(1, 1.7)),
    Decoding(("Rec-1",), peers.mamba2(16, 2.3), recurrent=True),
    Decoding(("Rec-2",), peers.mamba2(2, 2.3), recurrent=True),
)


def decoding_member(name: str, begin: Callable[[torch.Tensor], Step], batch: int, steps: int) -> Member:
    """Greedy decoding; ``begin`` reads the prompt, which is not timed. Seconds are those of one step."""
    prompt_BL = random_tokens(Size(), batch, PROMPT)
    step: list[Step] = []

    def prepare() -> None:
        step.clear()
        with torch.inference_mode():
            step.append(begin(prompt_BL))

    def work() -> None:
        tokens_B1 = prompt_BL[:, -1:]
        with torch.inference_mode():
            for _ in range(steps):
                tokens_B1 = step[0](tokens_B1).argmax(-1)

    return Member(name, work, prepare, share=steps)


def ours(model: Any, batch: int, steps: int) -> Member:
    """Our model, with its preallocated cache."""

    def begin(prompt_BL: torch.Tensor) -> Step:
        cache = model.init_cache(batch, PROMPT + steps)
        model.prefill(prompt_BL, cache)
        return lambda tokens_B1: model.step(tokens_B1.squeeze(1), cache)[0].unsqueeze(1)

    return decoding_member("ours", begin, batch, steps)


def theirs(name: str, model: Any, kind: str, argument: str, batch: int, steps: int) -> Member:
    """A model of transformers with a ``kind`` of cache."""
    package = peers.transformers()

    def begin(prompt_BL: torch.Tensor) -> Step:
        if kind == "StaticCache":
            cache = package.StaticCache(config=model.config, max_cache_len=PROMPT + steps)
        else:
            cache = package.DynamicCache(config=model.config)
        settings = {argument: cache, "use_cache": True}
        model(prompt_BL, logits_to_keep=1, **settings)
        return lambda tokens_B1: model(tokens_B1, **settings).logits

    return decoding_member(name, begin, batch, steps)


def fastest_of(decoding: Decoding, size: Size, batch: int, clock: Clock, steps: int) -> tuple[Member, float]:
    """The rival in its fastest variant and with the faster kind of cache, and its size."""
    # A chunk size changes only how the prompt is read.
    recurrent = decoding.recurrent
    variants = decoding.rival.variants
    if recurrent:
        variants = dict(list(variants.items())[:1])
    found: dict[str, tuple[nn.Module, str]] = {}
    for variant, build in variants.items():
        torch.manual_seed(0)
        model = build(size).eval()
        for kind in ("DynamicCache",) if recurrent else ("DynamicCache", "StaticCache"):
            name = decoding.rival.name if recurrent else f"{decoding.rival.name}, {variant}, {kind[:-5]}"
            found[name] = model, kind
    tried = [
        theirs(name, model, kind, decoding.argument, batch, min(steps, 16))
        for name, (model, kind) in found.items()
    ]
    name = fastest(tried, clock).name
    model, kind = found[name]
    return theirs(name, model, kind, decoding.argument, batch, steps), millions(model)


def measure(rounds: int, clock: Clock, steps: int = STEPS) -> Iterator[Line | Skipped]:
    """Milliseconds per step at batch 1 and 8, beside transformers."""
    for decoding in DECODINGS:
        for batch in (1, 8):
            title = f"{' + '.join(decoding.block)}, batch {batch}"
            size = Size(length=PROMPT + steps)
            try:
                rival, weight = fastest_of(decoding, size, batch, clock, steps)
            except ModuleNotFoundError as error:
                yield Skipped(title, decoding.rival.name, str(error))
                continue
            model = build_model(compiled(decoding.block * size.blocks, size), seed=0)
            seconds = in_turn([ours(model, batch, steps), rival], rounds, clock)
            mine, other = seconds["ours"], seconds[rival.name]
            yield Line(
                title,
                rival.name,
                (1e3 * median(mine), 1e3 * median(other)),
                Ratio.of(mine, other),
                decoding.rival.goal,
                (millions(model), weight),
            )


def measure_floor(rounds: int, clock: Clock, steps: int = STEPS // 4) -> Iterator[Line]:
    """Steps of a model larger than the caches of a core, against reading its weights and its cache once."""
    size = Size(width=1024)
    arch = compiled(("SA-1", GATED) * size.blocks, size)
    model = build_model(arch, seed=0)
    for batch in (1, 8):
        num_bytes = 4 * arch.num_parameters + arch.cache_bytes(PROMPT + steps // 2, batch)
        stream = stream_member(num_bytes, clock)
        seconds = in_turn([ours(model, batch, steps), stream], rounds, clock)
        mine, floor = seconds["ours"], seconds[stream.name]
        yield Line(
            f"SA-1 + GMemless, width {size.width}, batch {batch}",
            f"reading {num_bytes / 1e6:.0f} MB, {num_bytes / median(floor) / 1e9:.1f} GB/s",
            (1e3 * median(mine), 1e3 * median(floor)),
            Ratio.of(mine, floor),
            0.7,
        )
