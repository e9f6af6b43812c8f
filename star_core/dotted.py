"""Nested values as flat ones: what ``{"training": {"steps": 1}}`` holds is ``training.steps``."""

from __future__ import annotations

from collections.abc import Mapping


def dotted(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Every value that is no mapping, by the names on the way to it, in their order."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(dotted(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
