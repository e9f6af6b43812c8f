"""Paths as people write them."""

from __future__ import annotations

import os


def local_path(written: str) -> str:
    """A path in which ``~`` in front is the home folder, unless a file here has that very name."""
    return written if os.path.lexists(written.partition("/")[0]) else os.path.expanduser(written)
