"""GGUF, the file of llama.cpp: values by key, then tensors, some of them in blocks of 32 with a scale each.

The format, its numbers and its rounding are those of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VERSION, ALIGNMENT, BLOCK = 3, 32, 32
Value = bool | int | float | str | list[int] | list[str]


@dataclass(frozen=True, slots=True)
class Storage:
    """How the numbers of a tensor are stored.

    Attributes:
        name: As in names of files.
        code: Of the tensor, in the file.
        file_code: Of a file that has most of its numbers so.
        block_bytes: Bytes of a block.
    """

    name: str
    code: int
    file_code: int
    block_bytes: int


F32 = Storage("f32", 0, 0, 4 * BLOCK)
Q4_0 = Storage("q4_0", 2, 2, 2 + BLOCK // 2)
Q8_0 = Storage("q8_0", 8, 7, 2 + BLOCK)


def write_gguf(
    path: Path, values: Mapping[str, Value], tensors: Iterable[tuple[str, NDArray[np.float32], Storage]]
) -> None:
    """Writes a file.

    Args:
        path: Of the file.
        values: By key. Whole numbers are written as unsigned, lists of them as signed integers.
        tensors: Name, numbers, and how they are stored: rows of a multiple of 32 numbers, unless as f32.

    Raises:
        OSError: It cannot be written.
    """
    stored = list(tensors)
    header = struct.pack("<4sIQQ", b"GGUF", VERSION, len(stored), len(values))
    header += b"".join(_text(key) + _value(value) for key, value in values.items())
    offset = 0
    for name, numbers, storage in stored:
        sizes = numbers.shape[::-1]  # the fastest first
        header += _text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, storage.code, offset)
        offset += _aligned(prod(sizes) * storage.block_bytes // BLOCK)
    with path.open("wb") as file:
        file.write(header.ljust(_aligned(len(header)), b"\0"))
        for _, numbers, storage in stored:
            content = _ENCODED[storage](np.ascontiguousarray(numbers, np.float32))
            file.write(content.ljust(_aligned(len(content)), b"\0"))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    kind, items = (
        (8, map(_text, value)) if isinstance(value[0], str) else (5, (struct.pack("<i", x) for x in value))
    )
    return struct.pack("<IIQ", 9, kind, len(value)) + b"".join(items)


def _f32(numbers: NDArray[np.float32]) -> bytes:
    return numbers.astype("<f4").tobytes()


def _q8_0(numbers: NDArray[np.float32]) -> bytes:
    """The largest number of a block is ±127 steps."""
    blocks = numbers.reshape(-1, BLOCK)
    step = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    scaled = blocks * _inverse(step)
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    return np.concatenate([step.astype("<f2").view(np.uint8), rounded.view(np.uint8)], 1).tobytes()


def _q4_0(numbers: NDArray[np.float32]) -> bytes:
    """The number of a block that is farthest from zero is -8 steps."""
    blocks = numbers.reshape(-1, BLOCK)
    farthest = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)
    step = farthest / np.float32(-8)
    scaled = blocks.astype(np.float64) * _inverse(step)
    rounded = np.trunc(scaled + 8.5).clip(0, 15).astype(np.uint8)
    pairs = rounded[:, : BLOCK // 2] | (rounded[:, BLOCK // 2 :] << 4)
    return np.concatenate([step.astype("<f2").view(np.uint8), pairs], 1).tobytes()


def _inverse(step: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        return np.where(step == 0, np.float32(0), np.float32(1) / step)


_ENCODED = {F32: _f32, Q8_0: _q8_0, Q4_0: _q4_0}
