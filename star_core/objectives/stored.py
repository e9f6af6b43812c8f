"""Bytes that a device stores for the weights, in the precision in which they are deployed.

In 8 or 4 bit, dense matrices are stored in blocks of 32 along their input axis, the last one filled up, and a
float32 scale for each block; the embedding, which is the output matrix as well, is stored once. All other
weights are few or feel rounding, and stay in float32: norms, filters, biases, rates, maps of single channels
and of heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.objectives.base import Objective, register

BLOCK_SIZE, SCALE_BYTES = 32, 4
BITS = {"f32": 32, "int8": 8, "int4": 4}
"""Precision → bits of a weight that it is for."""


def stored_bytes(architecture: Architecture, precision: str) -> dict[str, int]:
    """Bytes of each weight, by its name in the model; their sum is ``file_bytes``.

    Args:
        architecture: The spec.
        precision: One of ``BITS``.
    """
    bits = BITS[precision]
    width, rows = architecture.width, architecture.vocab_size
    return {
        "embedding": _bytes((rows, width), bits),
        **{
            name: _bytes(weight.shape, bits if weight.is_dense else BITS["f32"])
            for name, weight in architecture.named_weights()
        },
        "backbone.norm": _bytes((width,), BITS["f32"]),
    }


def _bytes(shape: tuple[int, ...], bits: int) -> int:
    *rows, columns = shape
    if bits == BITS["f32"]:
        return math.prod(shape) * bits // 8
    blocks = math.prod(rows) * math.ceil(columns / BLOCK_SIZE)
    return blocks * (BLOCK_SIZE * bits // 8 + SCALE_BYTES)


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """Bytes, from the spec."""
    return float(sum(stored_bytes(architecture, section.weights).values()))


FILE_BYTES = register(
    Objective(
        "file_bytes",
        "file size",
        "B",
        False,
        measure,
        least=lambda spec, section: measure(spec, {}, section),
    )
)
