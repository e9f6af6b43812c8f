"""Where a genome can go: the formats it is exported in, and why not in the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from rich.console import RenderableType
from rich.text import Text

from star_core.analysis.terminal.output import Output
from star_core.architecture import Architecture
from star_core.datasets.base import DOCUMENT_END
from star_core.exported.format import EXPORT_FORMATS
from star_core.exported.manifest import tokens_of


def with_formats(found: Output, architecture: Architecture) -> Output:
    """What a command found of an architecture, and the formats it leaves in."""
    tokens = tokens_of(architecture.vocab_size, DOCUMENT_END)
    kinds: dict[str, str] = {}
    refusals: dict[str, str] = {}
    for name in EXPORT_FORMATS.names():
        entry = EXPORT_FORMATS[name]
        if reason := entry.refusal(architecture, tokens):
            refusals[name] = reason
        else:
            kinds[name] = entry.kind(architecture)
    leaves = ", ".join(f"{name} ({kind})" if kind else name for name, kind in kinds.items())
    lines = [f"leaves as: {leaves}", *(f"not as {name}: {reason}" for name, reason in refusals.items())]
    data = cast(dict[str, object], found.data) | {"leaves_as": kinds, "does_not_leave_as": refusals}
    parts: Iterable[RenderableType] = (*found.parts, *map(Text, lines))
    return replace(found, data=data, parts=parts)
