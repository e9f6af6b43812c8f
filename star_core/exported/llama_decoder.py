"""A GGUF file as what ``star_core.graphs.runner`` writes text with."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator,unused-ignore]
def _quiet(*_: object) -> None:
    """Instead of warnings about lengths and caches, which go to standard error."""


class LlamaDecoder:
    """One sequence that grows, computed by llama.cpp with keys and values in float32.

    Args:
        path: The file.
        length: Tokens that the cache holds.
        threads: That compute.
    """

    def __init__(self, path: Path, length: int, threads: int = 1) -> None:
        llama_cpp.llama_log_set(_quiet, ctypes.c_void_p(0))
        self._llama: Any = llama_cpp.Llama(
            str(path),
            n_ctx=length,
            n_threads=threads,
            n_threads_batch=threads,
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            flash_attn=False,
            verbose=False,
        )

    def reset(self) -> None:
        """Forgets all tokens."""
        self._llama.reset()

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        """Reads at least one token; the logits of the next, (vocabulary,)."""
        self._llama.eval(tokens)
        found = llama_cpp.llama_get_logits_ith(self._llama.ctx, -1)
        return np.ctypeslib.as_array(found, (self._llama.n_vocab(),))

    def remember(self) -> object:
        """What was read so far, for ``recall``."""
        return self._llama.save_state()

    def recall(self, remembered: object) -> None:
        """Goes back to what was read then."""
        self._llama.load_state(remembered)
