"""DVC's view of the project, opened so that nothing of it reaches the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.repo import Repo

LOGGERS = ("dvc", "dvc_data", "dvc_objects")
"""Whose level also decides whether a progress bar is drawn, which would break ours."""


@contextmanager
def repository(root: str | Path) -> Iterator[Repo]:
    """The project's repository, closed when the block ends. What goes wrong is raised, nothing is printed.

    Raises:
        DvcException: DVC cannot open the project.
    """
    from dvc.repo import Repo

    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with Repo(str(root)) as repo:
        yield repo
