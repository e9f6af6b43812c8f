"""Text that a model writes behind a prompt, until it says what ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from star_core.datasets.tokenizer import Tokenizer
from star_core.models import Cache, LanguageModel


@dataclass(frozen=True, slots=True)
class Ending:
    """When to stop writing.

    Attributes:
        stops: Strings that end the text and do not belong to it; so does the end of a document.
        tokens: The most to write, at least 1.
    """

    stops: tuple[str, ...]
    tokens: int


def write(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    ending: Ending,
    context: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> str:
    """What the model writes behind a prompt, token by token from its cache.

    At most ``context`` tokens are read. A longer prompt loses its beginning, to leave room for
    ``ending.tokens`` but never more than half of the context; a text that outgrows the context goes on
    behind its last half.

    Args:
        model: Of this tokenizer's tokens.
        tokenizer: What makes text of tokens.
        prompt: At least one token.
        ending: When to stop.
        context: Tokens that are read at most.
        temperature: 0 takes the likeliest token; above, samples from softmax(logits / temperature).
        generator: Source of the samples, on the CPU; needed at a temperature above 0.
    """
    half = max(1, context // 2)
    kept = min(max(context - ending.tokens, half), context)
    tokens, written = list(prompt[-kept:]), list[int]()
    # A stop that ends in the last token lies in so many: each has a byte at least, the last perhaps more.
    tail = max((len(stop.encode()) for stop in ending.stops), default=0)
    logits_V, cache = _read(model, tokens, context)
    while True:
        token = _choose(logits_V, temperature, generator)
        if token == tokenizer.separator:
            return tokenizer.decode(written)
        written.append(token)
        tokens.append(token)
        recent = tokenizer.decode(written[-tail:]) if tail else ""
        if any(stop in recent for stop in ending.stops if stop):
            text = tokenizer.decode(written)
            if places := [text.index(stop) for stop in ending.stops if stop and stop in text]:
                return text[: min(places)]
        if len(written) == ending.tokens:
            return tokenizer.decode(written)
        if cache.length == cache.max_length:
            logits_V, cache = _read(model, tokens[-half:], context)
        else:
            logits_1V, cache = model.step(torch.tensor([token], device=model.embedding.device), cache)
            logits_V = logits_1V[0]


def _read(model: LanguageModel, tokens: list[int], context: int) -> tuple[torch.Tensor, Cache]:
    """Logits of the token behind ``tokens``, and a cache that holds them and has room for the rest."""
    cache = model.init_cache(1, max(context, len(tokens)))
    logits_1LV, cache = model.prefill(torch.tensor([tokens], device=model.embedding.device), cache)
    return logits_1LV[0, -1], cache


def _choose(logits_V: torch.Tensor, temperature: float, generator: torch.Generator | None) -> int:
    if temperature > 0:
        chances_V = (logits_V.float() / temperature).softmax(-1).cpu()
        return int(torch.multinomial(chances_V, 1, generator=generator))
    return int(logits_V.argmax())
