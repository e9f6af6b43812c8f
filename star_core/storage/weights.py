"""Weights on disk, as far as the search half looks at them: whose they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

FORMAT = "star-checkpoint"


def read_metadata(header: Mapping[str, str] | None) -> dict[str, str]:
    """What a checkpoint says of itself: the JSON object in its header's one entry, or nothing.

    Raises:
        ValueError: The entry is not JSON.
    """
    found = json.loads((header or {}).get(FORMAT, "{}"))
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def checkpoint_key(path: Path) -> str | None:
    """Key of the evaluation that a checkpoint belongs to; ``None`` if there is no readable one."""
    try:
        with safe_open(str(path), framework="np") as file:
            return read_metadata(file.metadata()).get("key")
    except (OSError, SafetensorError, ValueError, RecursionError):
        return None
