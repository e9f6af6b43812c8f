"""Weights on disk, as far as the search half looks at them: whose they are."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open


def checkpoint_key(path: Path) -> str | None:
    """Key of the evaluation that a checkpoint belongs to; ``None`` if there is no readable one."""
    try:
        with safe_open(str(path), framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError, ValueError):
        return None
    return metadata.get("key")
