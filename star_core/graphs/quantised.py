"""Matrices in 8 or 4 bit: blocks of 32 weights along the input axis, with a float32 scale each.

Stored as ONNX Runtime's ``MatMulNBits`` reads them. A block is symmetric: q · scale, with q from -128 to 127,
or from -8 to 7, stored behind an offset of 128 or 8.

Legend: S rows, D columns, K = ceil(D / 32) blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

BLOCK_SIZE = 32
BITS = {"f32": 0, "int8": 8, "int4": 4}
"""Precision → bits of a quantised weight; 0: it is not quantised."""
_TRIED = np.linspace(0.75, 1.05, 13, dtype=np.float32)
"""Scales that are tried for a 4-bit block, relative to the one that just holds its largest weight."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A quantised matrix.

    Attributes:
        packed: (S, K, 32 · bits / 8) bytes; of two 4-bit weights in a byte the first is the lower half.
        scales: (S, K).
        columns: D.
    """

    packed: npt.NDArray[np.uint8]
    scales: Floats
    columns: int

    @property
    def bits(self) -> int:
        """Of a weight."""
        return int(8 * self.packed.shape[2] // BLOCK_SIZE)

    def restored(self) -> Floats:
        """The matrix (S, D) that is computed with."""
        half = 1 << (self.bits - 1)
        numbers = self.packed.astype(np.int16)
        if self.bits == 4:
            numbers = np.stack([numbers & 15, numbers >> 4], -1).reshape(*numbers.shape[:2], BLOCK_SIZE)
        blocks: Floats = (numbers - half).astype(np.float32) * self.scales[..., None]
        return blocks.reshape(len(blocks), -1)[:, : self.columns]


def quantise(rows_SD: Floats, bits: int) -> Quantised:
    """The nearest quantised matrix. Of 4-bit scales the one with the least squared error is taken."""
    rows, columns = rows_SD.shape
    padded = np.zeros((rows, -(-columns // BLOCK_SIZE) * BLOCK_SIZE), np.float32)
    padded[:, :columns] = rows_SD
    blocks_SKB = padded.reshape(rows, -1, BLOCK_SIZE)
    half = 1 << (bits - 1)
    if bits == 8:
        scales_SK = (np.abs(blocks_SKB).max(-1) / (half - 1)).astype(np.float32)
    else:
        # The largest weight, whatever its sign, becomes -8: the side that reaches further.
        largest = np.take_along_axis(blocks_SKB, np.abs(blocks_SKB).argmax(-1)[..., None], -1)[..., 0]
        scales_SK = _best_scales(blocks_SKB, (largest / -half).astype(np.float32), half)
    packed: npt.NDArray[np.uint8] = (_rounded(blocks_SKB, scales_SK, half) + half).astype(np.uint8)
    if bits == 4:
        packed = packed[..., ::2] | (packed[..., 1::2] << np.uint8(4))
    return Quantised(packed, scales_SK.astype(np.float32), columns)


def _best_scales(blocks_SKB: Floats, first_SK: Floats, half: int) -> Floats:
    best_SK, least_SK = first_SK, np.full(first_SK.shape, np.inf, np.float32)
    for factor in _TRIED:
        scales_SK = first_SK * factor
        numbers = _rounded(blocks_SKB, scales_SK, half)
        error_SK = np.square(numbers * scales_SK[..., None] - blocks_SKB).sum(-1)
        better = error_SK < least_SK
        best_SK, least_SK = np.where(better, scales_SK, best_SK), np.where(better, error_SK, least_SK)
    return best_SK


def _rounded(blocks_SKB: Floats, scales_SK: Floats, half: int) -> Floats:
    inverse_SK = np.divide(1, scales_SK, out=np.zeros_like(scales_SK), where=scales_SK != 0)
    rounded: Floats = np.clip(np.rint(blocks_SKB * inverse_SK[..., None]), -half, half - 1)
    return rounded
