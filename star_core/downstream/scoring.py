"""How likely a model finds a text: log-likelihoods of tokens that follow others.

Legend: B batch, L length, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from star_core.models import LanguageModel

BATCH_TOKENS = 8192
"""Tokens of a pass, those of shorter sequences filled up: memory, and no result, depends on it."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model says of tokens that follow others.

    Attributes:
        log: Natural logarithm of their probability.
        greedy: Whether each of them is the likeliest token where it stands.
    """

    log: float
    greedy: bool


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a sequence that goes through the model at once.

    Attributes:
        start: First token that is read.
        first: First token that is predicted.
        end: One behind the last; it is predicted and not read.
    """

    start: int
    first: int
    end: int

    @property
    def length(self) -> int:
        """Tokens that are read."""
        return self.end - 1 - self.start


def windows(before: int, length: int, context: int) -> Iterator[Window]:
    """The windows in which each token from ``before`` on is predicted once, from as much as can be read.

    A window reads up to ``context`` tokens. Where more are to be predicted there are several windows, and the
    last of them is as long as the others, as lm-eval wants it.

    Args:
        before: Tokens that are only read, at least 1.
        length: Of the sequence.
        context: Tokens of a window.
    """
    for first in range(before, length, context):
        end = min(first + context, length)
        yield Window(max(0, end - 1 - context), first, end)


def likelihoods(
    model: LanguageModel,
    sequences: Sequence[tuple[Sequence[int], Sequence[int]]],
    context: int,
    done: Callable[[int], None] = lambda _: None,
) -> list[Likelihood]:
    """The likelihood of each continuation behind what comes before it.

    Args:
        model: Of tokens that include all of these.
        sequences: What comes before (at least one token), and the tokens to judge (none: 0 and greedy).
        context: Tokens that are read at most; what is further back is left out.
        done: Called with the number of windows that went through.
    """
    pieces = [
        (index, window, tokens)
        for index, (before, after) in enumerate(sequences)
        for tokens in [[*before, *after]]
        for window in windows(len(before), len(tokens), context)
    ]
    pieces.sort(key=lambda piece: -piece[1].length)  # like lengths together: little is filled up
    logs, greedy = [0.0] * len(sequences), [True] * len(sequences)
    at = 0
    while at < len(pieces):
        batch = pieces[at : at + max(1, BATCH_TOKENS // pieces[at][1].length)]
        found = _of_windows(model, [(window, tokens) for _, window, tokens in batch])
        for (index, _, _), (log, likeliest) in zip(batch, found, strict=True):
            logs[index] += log
            greedy[index] &= likeliest
        at += len(batch)
        done(len(batch))
    return [Likelihood(*found) for found in zip(logs, greedy, strict=True)]


@torch.no_grad()
def _of_windows(model: LanguageModel, batch: list[tuple[Window, list[int]]]) -> Iterator[tuple[float, bool]]:
    """Log-likelihood of what each window predicts, and whether all of it is likeliest."""
    device = model.embedding.device
    longest = max(window.length for window, _ in batch)
    # What fills up comes behind, where a causal model cannot see it.
    rows = [
        tokens[window.start : window.end - 1] + [0] * (longest - window.length) for window, tokens in batch
    ]
    logits_BLV = model(torch.tensor(rows, device=device))
    for row, (window, tokens) in enumerate(batch):
        asked = slice(window.first - 1 - window.start, window.length)
        logits_LV = logits_BLV[row, asked].float()
        targets_L = torch.tensor(tokens[window.first : window.end], device=device)
        chosen_L = logits_LV.log_softmax(-1).gather(-1, targets_L.unsqueeze(-1)).squeeze(-1)
        yield chosen_L.double().sum().item(), bool((logits_LV.argmax(-1) == targets_L).all())
