"""lm-eval, run on models of ours: offline, quietly, and the same way each time."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from star_core.datasets.tokenizer import Tokenizer
from star_core.errors import ConfigError, DataError, StarError
from star_core.models import LanguageModel

VERSIONS = SpecifierSet(">=0.4.12,<0.5")
"""Of lm-eval that this was written for."""
RESAMPLES = 1000
"""Of the bootstrap, for metrics whose standard error has no formula."""
_SEED = 0
"""Of the examples that a task puts before its questions: all models see the same."""
_SURROUNDINGS = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    # Its bootstrap starts a process for each core.
    "DISABLE_MULTIPROC": "1",
    "LMEVAL_DISABLE_MULTIPROC": "1",
}


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one task.

    Attributes:
        value: Of the metric.
        error: Its standard error over the task's items; ``None`` where there is none.
        higher_is_better: ``None`` where the task does not say.
    """

    value: float
    error: float | None
    higher_is_better: bool | None


Scores = dict[str, dict[str, Score]]
"""Task → metric → score."""


def lm_eval_version() -> str:
    """The installed version of lm-eval.

    Raises:
        ConfigError: It is not installed, or another version than this was written for.
    """
    fix = "pip install '.[evaluate]' in a clone of STAR"
    try:
        found = version("lm-eval")
    except PackageNotFoundError:
        raise ConfigError(
            "tasks are run by lm-eval, which is not installed",
            value="lm-eval",
            place="star evaluate",
            fix=fix,
        ) from None
    if not VERSIONS.contains(found, prereleases=True):
        raise ConfigError(f"lm-eval {VERSIONS} is needed", value=found, place="star evaluate", fix=fix)
    return found


def go_offline(cache: Path) -> None:
    """Tells this process that lm-eval and what it uses have no network; to be said before they are imported.

    Args:
        cache: Where data is kept in the form it is read in, unless ``HF_DATASETS_CACHE`` says otherwise.
    """
    os.environ.update(_SURROUNDINGS)
    os.environ.setdefault("HF_DATASETS_CACHE", str(cache.resolve()))


def run_tasks(
    model: LanguageModel,
    tokenizer: Tokenizer,
    tasks: Mapping[str, Any],
    context: int,
    limit: int | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> Scores:
    """What a model reaches on tasks.

    Args:
        model: Of this tokenizer's tokens.
        tokenizer: What makes tokens of text.
        tasks: lm-eval's, by name.
        context: Tokens the model reads at most.
        limit: Items of each task, from its first; ``None``: all.
        done: Told how many windows of text went through the model.

    Raises:
        DataError: lm-eval stopped.
    """
    from lm_eval import evaluator

    from star_core.downstream.adapter import Adapter

    for task in tasks.values():
        task.set_fewshot_seed(_SEED)
    try:
        with quiet():
            found = evaluator.evaluate(
                Adapter(model, tokenizer, context, done),
                {"tasks": dict(tasks)},
                limit=limit,
                bootstrap_iters=RESAMPLES,
                log_samples=False,
            )
    except StarError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise DataError(
            f"lm-eval stopped ({reason})", value=", ".join(tasks), place="--tasks", fix="correct the task"
        ) from error
    return {name: _scores(found["results"][name], found["higher_is_better"].get(name, {})) for name in tasks}


def _scores(results: Mapping[str, Any], directions: Mapping[str, bool | None]) -> dict[str, Score]:
    """The numbers among a task's results, which are named ``metric,filter`` and ``metric_stderr,filter``."""
    scores = {}
    for key, value in results.items():
        metric, comma, chosen = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        error = results.get(f"{metric}_stderr,{chosen}")
        scores[metric if chosen == "none" else f"{metric} ({chosen})"] = Score(
            float(value), float(error) if isinstance(error, (int, float)) else None, directions.get(metric)
        )
    return scores


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing from lm-eval, which prints, logs and draws bars, while the block lasts; errors are raised."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
