"""What an architecture fails to learn of six synthetic tasks (MAD, arXiv 2403.17844)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from star_core.architecture import Architecture
from star_core.config import Objectives, Params
from star_core.objectives.base import Objective, at_least, register
from star_core.objectives.probe import Probe, probed

BATCH_SIZE = 16


def settings(params: Params, vocab_size: int) -> dict[str, Any]:
    """Steps and instances per step, and the run's recipe for the rest."""
    steps = params.objectives.mad_steps
    update = {"steps": steps, "batch_size": BATCH_SIZE, "warmup_steps": steps // 10}
    recipe = params.training.model_copy(update=update)
    exclude = {"accelerator", "sequence_length", "validation_tokens"}
    return {"recipe": recipe.model_dump(mode="json", exclude=exclude)}


# The name is where the function stood when first results were stored.
TASKS = Probe("star_core.mad.probe:probe", settings, alone=False, name="star_core.training.mad:probe")


def measure(architecture: Architecture, metrics: Mapping[str, float], section: Objectives) -> float:
    """1 less the accuracy, averaged over the tasks."""
    return 1 - probed(metrics, "mad_accuracy")


MAD_ERROR = register(Objective("mad_error", "MAD error", "", False, measure, TASKS, least=at_least(0.0)))
