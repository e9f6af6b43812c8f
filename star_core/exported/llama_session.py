"""Time and memory of a model on llama.cpp, for the genomes it has a file for."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from star_core.architecture import Architecture
from star_core.exported.formats.gguf import write_model
from star_core.exported.llama_decoder import LlamaDecoder
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, Session
from star_core.measurement.timing import STEPS
from star_core.models import build_model


class LlamaCpp(Session):
    """One sequence in llama.cpp, keys and values in float32.

    Raises:
        Unmapped: The genome is neither a Llama nor an LFM2; says which LIV is in the way.
    """

    def __init__(self, architecture: Architecture, conditions: Conditions, device: Device) -> None:
        super().__init__(conditions, device)
        with tempfile.TemporaryDirectory(prefix="star-llama-") as folder:
            path = Path(folder) / "model.gguf"
            write_model(path, build_model(architecture), "", conditions.longest, conditions.weights)
            self._decoder = LlamaDecoder(path, conditions.longest, conditions.threads)
        numbers = np.random.default_rng(0)
        self._prompt, self._context = (
            numbers.integers(1, conditions.vocab_size, size=size).tolist()
            for size in (conditions.prompt, conditions.context)
        )
        self._behind_context: object = None

    def prefill(self) -> None:
        """Reads the prompt up to the choice of its first token."""
        self._decoder.feed(self._prompt).argmax()

    def decode(self) -> None:
        """Writes ``STEPS`` tokens, each the likeliest behind the one before."""
        token = 1
        for _ in range(STEPS):
            token = int(self._decoder.feed((token,)).argmax())

    def empty(self) -> None:
        """Forgets what was read."""
        self._decoder.reset()

    def fill(self) -> None:
        """Reads a context: its states cannot be made up."""
        self._decoder.reset()
        self._decoder.feed(self._context)
        self._behind_context = self._decoder.remember()

    def rewind(self) -> None:
        """Makes the cache hold no more than the context."""
        self._decoder.recall(self._behind_context)
