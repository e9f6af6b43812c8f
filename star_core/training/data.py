"""Batches of token windows: which windows, in which order, follows from the seed alone.

Shapes: B batch, L length; a window holds L + 1 tokens, L inputs and their L next tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from star_core.config import Training
from star_core.datasets.base import Tokens
from star_core.datasets.tokens import TokenData
from star_core.errors import DataError

_ORDER = 1
"""Purpose of the random stream that draws training windows."""


class Windows(Dataset[Tensor]):
    """Batch i of fixed windows: item i has shape (B, L + 1), int64.

    Args:
        tokens: Where the windows are cut from.
        starts_SB: First token of every window, one row per batch; the last may be shorter.
        length: L.
    """

    def __init__(self, tokens: Tokens, starts_SB: list[NDArray[np.int64]], length: int) -> None:
        self._tokens, self._starts, self._span = tokens, starts_SB, np.arange(length + 1)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> Tensor:
        window_BL = self._tokens[self._starts[index][:, None] + self._span]
        return torch.from_numpy(window_BL.astype(np.int64))


class TokenModule(LightningDataModule):
    """Training batches at random offsets, validation batches at fixed ones.

    Args:
        data: Prepared tokens.
        recipe: Batch size, sequence length, steps, validation tokens and seed.
        begin: First step of this training.
        stop: Step before which it stops; ``None``: the recipe's last is made too.

    Raises:
        DataError: A split is shorter than one window.
    """

    def __init__(self, data: TokenData, recipe: Training, begin: int = 0, stop: int | None = None) -> None:
        super().__init__()
        self._data, self._recipe = data, recipe
        self.train_starts = training_starts(len(data.train), recipe, f"{data.folder}, train")[begin:stop]
        self.validation_starts = validation_starts(len(data.validation), recipe, f"{data.folder}, validation")

    def train_dataloader(self) -> DataLoader[Tensor]:
        """One batch per optimiser step."""
        return _loader(Windows(self._data.train, list(self.train_starts), self._recipe.sequence_length))

    def val_dataloader(self) -> DataLoader[Tensor]:
        """All validation windows, ``batch_size`` at a time."""
        starts, size = self.validation_starts, self._recipe.batch_size
        batches = [starts[at : at + size] for at in range(0, len(starts), size)]
        return _loader(Windows(self._data.validation, batches, self._recipe.sequence_length))


def training_starts(tokens: int, recipe: Training, place: str = "") -> NDArray[np.int64]:
    """Offsets of the training windows, shape (steps, B): uniform, from the recipe's seed.

    A longer training with the same seed begins with the same batches.

    Raises:
        DataError: Fewer tokens than one window has.
    """
    _require_window(tokens, recipe, place)
    rng = np.random.default_rng(np.random.SeedSequence([recipe.seed, _ORDER]))
    return rng.integers(0, tokens - recipe.sequence_length, size=(recipe.steps, recipe.batch_size))


def validation_starts(tokens: int, recipe: Training, place: str = "") -> NDArray[np.int64]:
    """Offsets of the validation windows, shape (windows,): spread evenly, none overlapping.

    As many as ``validation_tokens`` allows (at least one), or as there is text for.

    Raises:
        DataError: Fewer tokens than one window has.
    """
    _require_window(tokens, recipe, place)
    length = recipe.sequence_length
    windows = max(1, min(recipe.validation_tokens // length, (tokens - 1) // length))
    return np.arange(windows, dtype=np.int64) * ((tokens - 1) // windows)


def _require_window(tokens: int, recipe: Training, place: str) -> None:
    if tokens < recipe.sequence_length + 1:
        raise DataError(
            f"at least one sequence and its next token, {recipe.sequence_length + 1} tokens",
            value=tokens,
            place=place,
            fix="shorten training.sequence_length, raise data.validation_fraction or add text",
        )


def _loader(windows: Windows) -> DataLoader[Any]:
    # Its own generator: a loader otherwise draws from the global one.
    return DataLoader(windows, batch_size=None, num_workers=0, generator=torch.Generator())
