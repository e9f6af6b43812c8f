"""Six synthetic tasks that each ask for one skill of a sequence model (MAD, arXiv 2403.17844, §3).

A task is made, not read: instances follow from a seed. They are no corpus of ``data.source``: only some
positions ask something, and what they ask is not always the next token.

Shapes: N instances, L length, K keys, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from star_core.errors import DataError, nearest

IGNORE = -100
"""Target of a position that asks nothing."""
MOTIF = 3
"""Most tokens of a key or value in fuzzy recall."""
_TRIES = 100

Integers = NDArray[np.int64]


class Stream(IntEnum):
    """What a stream of random numbers is for; streams never mix."""

    TRAINING = 0
    VALIDATION = 1
    DICTIONARY = 2


@dataclass(frozen=True, eq=False)
class Instances:
    """Sequences and what is asked of them.

    Attributes:
        inputs: Tokens (N, L).
        targets: The token that the model must name at a position, or ``IGNORE``; (N, L). Not shifted: a
            target belongs to the input of its own position.
    """

    inputs: Integers
    targets: Integers

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class Task:
    """One synthetic task at one setting.

    Attributes:
        name: As in metrics.
        title: The skill, for people.
        vocab_size: Tokens V.
        length: Tokens L of an instance.
        answers: Tokens that are asked for, each as likely as any other.
        training_size: Different training instances there are; a longer training meets them again.
        make: ``(instances, their random numbers, those of what all instances share)`` → instances.
        compressed: Whether every answer is read from the output at the last token.
    """

    name: str
    title: str
    vocab_size: int
    length: int
    answers: range
    training_size: int
    make: Callable[[int, np.random.Generator, np.random.Generator], Instances]
    compressed: bool = False

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / len(self.answers)

    def validation(self, count: int, seed: int = 0) -> Instances:
        """Held-out instances; more of them need not begin with the same ones."""
        return self._draw(count, seed, Stream.VALIDATION)

    def training(self, count: int, held_out: Instances, seed: int = 0) -> Instances:
        """Training instances, at most ``training_size``, none of them among ``held_out``.

        Raises:
            DataError: There are too few different instances for that.
        """
        drawn = self._draw(min(count, self.training_size), seed, Stream.TRAINING)
        inputs_NL, targets_NL = drawn.inputs, drawn.targets
        for attempt in range(_TRIES):
            (known,) = np.nonzero(np.isin(_rows(inputs_NL), _rows(held_out.inputs)))
            if not len(known):
                return Instances(inputs_NL, targets_NL)
            fresh = self._draw(len(known), seed, Stream.TRAINING, attempt + 1)
            inputs_NL[known], targets_NL[known] = fresh.inputs, fresh.targets
        raise DataError(
            "training instances differ from those held out",
            value=self.length,
            place=f"task {self.name}, length",
            fix="make the instances longer, or hold out fewer",
        )

    def _draw(self, count: int, seed: int, stream: Stream, attempt: int = 0) -> Instances:
        rng, shared = (
            np.random.default_rng(np.random.SeedSequence([seed, *key]))
            for key in ((stream, attempt), (Stream.DICTIONARY,))
        )
        return self.make(count, rng, shared)


def _rows(inputs_NL: Integers) -> NDArray[np.void]:
    """Every row as one value that can be compared."""
    rows = np.ascontiguousarray(inputs_NL)
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()


def recall(
    name: str = "in-context-recall",
    title: str = "recall values by their keys",
    vocab_size: int = 16,
    length: int = 128,
    noise_tokens: int = 0,
    noise: float = 0.0,
) -> Task:
    """Pairs of a key and its value, drawn anew for every instance; a key seen before asks for its value.

    With noise, that share of the pairs is replaced by two tokens of a vocabulary of their own.
    """
    keys = (vocab_size - noise_tokens) // 2
    _require(name, "vocab_size", vocab_size, keys >= 2 and noise_tokens >= (noise > 0), "two keys and values")
    _require(name, "length", length, length >= 4 and length % 2 == 0, "pairs of tokens")

    def make(count: int, rng: np.random.Generator, _: np.random.Generator) -> Instances:
        pairs = length // 2
        values_NK = keys + rng.integers(0, keys, (count, keys))
        key_NP = rng.integers(0, keys, (count, pairs))
        noisy_NP = rng.random((count, pairs)) < noise
        value_NP = np.take_along_axis(values_NK, key_NP, 1)
        asked_NP = _seen(np.where(noisy_NP, keys, key_NP), keys) & ~noisy_NP
        tokens_NP2 = np.stack([key_NP, value_NP], 2)
        if noise:
            irrelevant_NP2 = rng.integers(2 * keys, vocab_size, tokens_NP2.shape)
            tokens_NP2 = np.where(noisy_NP[..., None], irrelevant_NP2, tokens_NP2)
        targets_NP2 = np.full_like(tokens_NP2, IGNORE)
        targets_NP2[..., 0] = np.where(asked_NP, value_NP, IGNORE)
        return Instances(tokens_NP2.reshape(count, length), targets_NP2.reshape(count, length))

    return Task(name, title, vocab_size, length, range(keys, 2 * keys), 12_800, make)


def fuzzy_recall(vocab_size: int = 16, length: int = 128, keys: int = 8) -> Task:
    """Recall where keys and values are motifs of one to three tokens.

    A motif ends where the other kind begins. A key seen before asks, at its last token, for the first
    token of its value, and every token of the value for the next.
    """
    name, letters = "fuzzy-recall", vocab_size // 2
    _require(name, "vocab_size", vocab_size, letters >= 2, "two tokens for keys, two for values")
    _require(name, "length", length, length >= 4 * MOTIF, f"{4 * MOTIF} tokens at least")

    def make(count: int, rng: np.random.Generator, _: np.random.Generator) -> Instances:
        letters_NKM, size_NK = _motifs(rng, count, keys, letters)
        value_NKM, value_size_NK = _motifs(rng, count, keys, letters)
        # Two keys of the same tokens are one key.
        place_M = (letters + 1) ** np.arange(MOTIF)
        code_NK = ((letters_NKM + 1) * (np.arange(MOTIF) < size_NK[..., None]) * place_M).sum(2)
        same_NKK = code_NK[:, :, None] == code_NK[:, None]
        pairs = length // 2
        key_NP = np.take_along_axis(same_NKK.argmax(2), rng.integers(0, keys, (count, pairs)), 1)
        asked_NP = _seen(key_NP, keys)
        row_N1 = np.arange(count)[:, None]
        size_NP, value_size_NP = size_NK[row_N1, key_NP], value_size_NK[row_N1, key_NP]
        tokens_NPM = np.concatenate([letters_NKM, letters + value_NKM], 2)[row_N1, key_NP]
        slot_M = np.arange(2 * MOTIF)
        within_NPM = np.where(
            slot_M < MOTIF, slot_M < size_NP[..., None], slot_M - MOTIF < value_size_NP[..., None]
        )
        # Left to right, only the tokens that a motif has; the sequence ends where it is full.
        at_NX = within_NPM.reshape(count, -1).cumsum(1) - 1
        kept_NX = within_NPM.reshape(count, -1) & (at_NX < length + 1)
        row_X, at_X = np.nonzero(kept_NX)[0], at_NX[kept_NX]
        sequence_NL = np.empty((count, length + 1), np.int64)
        sequence_NL[row_X, at_X] = tokens_NPM.reshape(count, -1)[kept_NX]
        answer_NL = np.zeros((count, length + 1), bool)
        answer_NL[row_X, at_X] = (asked_NP[..., None] & (slot_M >= MOTIF)).reshape(count, -1)[kept_NX]
        targets_NL = np.where(answer_NL, sequence_NL, IGNORE)[:, 1:]
        return Instances(sequence_NL[:, :-1].copy(), targets_NL)

    return Task(
        name,
        "recall values by keys of several tokens",
        vocab_size,
        length,
        range(letters, 2 * letters),
        12_800,
        make,
    )


def memorisation(vocab_size: int = 256, length: int = 32) -> Task:
    """Keys of one dictionary for all instances, each followed by a token that asks for its value."""
    name, keys, question = "memorisation", (vocab_size - 1) // 2, vocab_size - 1
    _require(name, "vocab_size", vocab_size, keys >= 2, "two keys, two values and the question")
    _require(name, "length", length, length >= 2 and length % 2 == 0, "a key and a question, or more")

    def make(count: int, rng: np.random.Generator, shared: np.random.Generator) -> Instances:
        dictionary_K = keys + shared.permutation(keys)
        key_NP = rng.integers(0, keys, (count, length // 2))
        asked_NP2 = np.stack([key_NP, np.full_like(key_NP, question)], 2)
        targets_NP2 = np.stack([np.full_like(key_NP, IGNORE), dictionary_K[key_NP]], 2)
        return Instances(asked_NP2.reshape(count, length), targets_NP2.reshape(count, length))

    title = "remember what was seen in training"
    return Task(name, title, vocab_size, length, range(keys, 2 * keys), 256, make)


def compression(vocab_size: int = 16, length: int = 32) -> Task:
    """Random tokens and a last one, from whose output alone a small network must read all the others."""
    name, last = "compression", vocab_size - 1
    _require(name, "vocab_size", vocab_size, vocab_size >= 3, "two tokens and the last one")
    _require(name, "length", length, length >= 2, "a token and the last one")

    def make(count: int, rng: np.random.Generator, _: np.random.Generator) -> Instances:
        inputs_NL = rng.integers(0, last, (count, length))
        inputs_NL[:, -1] = last
        targets_NL = inputs_NL.copy()
        targets_NL[:, -1] = IGNORE
        return Instances(inputs_NL, targets_NL)

    title = "gather a sequence in one token"
    return Task(name, title, vocab_size, length, range(last), 12_800, make, compressed=True)


def selective_copying(vocab_size: int = 16, length: int = 256, copied: int = 16) -> Task:
    """Tokens at random places among blanks; then a signal and as many blanks, which ask for them in turn."""
    name, blank, signal = "selective-copying", vocab_size - 2, vocab_size - 1
    body = length - copied - 1
    _require(name, "vocab_size", vocab_size, vocab_size >= 4, "two tokens, a blank and a signal")
    _require(name, "copied", copied, 1 <= copied <= body, "tokens that fit before the signal")

    def make(count: int, rng: np.random.Generator, _: np.random.Generator) -> Instances:
        inputs_NL = np.full((count, length), blank)
        inputs_NL[:, body] = signal
        tokens = rng.integers(0, blank, (count, copied))
        places = np.sort(rng.random((count, body)).argpartition(copied - 1, 1)[:, :copied], 1)
        np.put_along_axis(inputs_NL, places, tokens, 1)
        targets_NL = np.full_like(inputs_NL, IGNORE)
        targets_NL[:, body + 1 :] = tokens
        return Instances(inputs_NL, targets_NL)

    return Task(name, "copy tokens, not what lies between", vocab_size, length, range(blank), 12_800, make)


def _motifs(rng: np.random.Generator, count: int, keys: int, letters: int) -> tuple[Integers, Integers]:
    """Tokens (N, K, MOTIF) of which the first ``size`` (N, K) count."""
    return rng.integers(0, letters, (count, keys, MOTIF)), rng.integers(1, MOTIF + 1, (count, keys))


def _seen(key_NP: Integers, keys: int) -> NDArray[np.bool_]:
    """Whether a key (below ``keys``) stood in the same row before."""
    seen_NP = np.empty(key_NP.shape, bool)
    before_NK = np.zeros((len(key_NP), keys + 1), bool)
    row_N = np.arange(len(key_NP))
    for at in range(key_NP.shape[1]):
        seen_NP[:, at] = before_NK[row_N, key_NP[:, at]]
        before_NK[row_N, key_NP[:, at]] = True
    return seen_NP


def _require(task: str, name: str, value: int, holds: bool, rule: str) -> None:
    if not holds:
        raise DataError(
            f"a {task} task needs {rule}", value=value, place=f"task {task}, {name}", fix="see the baseline"
        )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        recall(),
        recall("noisy-recall", "recall past what is irrelevant", 32, noise_tokens=16, noise=0.2),
        fuzzy_recall(),
        memorisation(),
        compression(),
        selective_copying(),
    )
}
"""The six at the paper's baseline settings."""


def task(name: str) -> Task:
    """The task of this name at its baseline setting.

    Raises:
        DataError: There is none.
    """
    if name not in TASKS:
        raise DataError("no such MAD task", value=name, place="task", fix=nearest(name, TASKS))
    return TASKS[name]
