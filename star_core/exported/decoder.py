"""A PyTorch model as what ``star_core.graphs.runner`` writes text with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from star_core.models import LanguageModel


class TorchDecoder:
    """One sequence that grows in a cache.

    Args:
        model: Not in training.
        length: Tokens that the cache holds.

    Raises:
        MemoryError: There is no room for it.
    """

    def __init__(self, model: LanguageModel, length: int) -> None:
        self._model = model
        try:
            self._cache = model.init_cache(1, length)
        except RuntimeError as error:
            raise MemoryError(f"no room for {length} tokens") from error

    def reset(self) -> None:
        """Forgets all tokens."""
        self._cache.reset()

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        """Reads at least one token; the logits of the next, (vocabulary,)."""
        tokens_1L = torch.tensor([tokens], device=self._model.embedding.device)
        if len(tokens) == 1:
            logits_V = self._model.step(tokens_1L[0], self._cache)[0][0]
        else:
            logits_V = self._model.prefill(tokens_1L, self._cache)[0][0, -1]
        logits: np.ndarray = logits_V.float().cpu().numpy()
        return logits


class TransformersDecoder:
    """One sequence that grows in a cache of transformers.

    Args:
        model: A causal language model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.reset()

    def reset(self) -> None:
        """Forgets all tokens."""
        self._cache = None

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        """Reads at least one token; the logits of the next, (vocabulary,)."""
        with torch.no_grad():
            seen = self._model(input_ids=torch.tensor([tokens]), past_key_values=self._cache, use_cache=True)
        self._cache = seen.past_key_values
        logits: np.ndarray = seen.logits[0, -1].float().numpy()
        return logits
