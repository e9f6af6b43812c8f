"""Prefect tasks whose results Prefect does not keep: what is stored is the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
R = TypeVar("R")


def uncached_task(name: str, run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Makes a task of a function.

    Args:
        name: Of the task, as Prefect shows it.
        run_name: Of its runs, which may hold parameters in braces; ``None``: the task's.
    """
    return task(name=name, task_run_name=run_name or name, cache_policy=NO_CACHE, persist_result=False)
