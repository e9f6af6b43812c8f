"""The hand-designed architectures that evolution is measured against, at any depth."""

from __future__ import annotations

from collections.abc import Mapping

from star_core.genome.backbone import LIV, Genome

GROUPED_ATTENTION, RECURRENCE, GATED_UNIT = 3, 5, 9

PATTERNS: Mapping[str, tuple[int, ...]] = {
    "transformer++": (GROUPED_ATTENTION, GATED_UNIT),
    "striped-hybrid": (
        RECURRENCE,
        GATED_UNIT,
        RECURRENCE,
        GATED_UNIT,
        RECURRENCE,
        GATED_UNIT,
        GROUPED_ATTENTION,
        GATED_UNIT,
    ),
}
"""Baseline → LIV classes, repeated down the backbone (arXiv 2411.17800, §5).

Transformer++: grouped-query attention and SwiGLU in turn. Striped hybrid: every fourth mixer is
attention, the others are recurrences (StripedMamba's proportion is not given; ours).
"""


def baseline(name: str, depth: int) -> Genome:
    """The baseline ``name`` with ``depth`` LIVs."""
    pattern = PATTERNS[name]
    return Genome(tuple(LIV(pattern[index % len(pattern)]) for index in range(depth)))
