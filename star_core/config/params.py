"""The whole experiment, and which part of it a stored generation depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from star_core.config.candidate import Data, Model, Space, Training
from star_core.config.digest import digest_json
from star_core.config.evolution import Evolution
from star_core.config.execution import Budget, Retrain, Runtime
from star_core.config.objectives import Objectives
from star_core.config.section import Section
from star_core.errors import StarError
from star_core.machine import default_workers

LATER: tuple[tuple[str, str], ...] = (
    ("space", "min_depth"),
    ("space", "classes"),
    ("space", "novelty"),
    ("space", "class_mutation"),
    ("evolution", "crossover"),
    ("evolution", "mutation"),
    ("evolution", "repair"),
    ("evolution", "elites"),
    ("evolution", "halving"),
    ("objectives", "prompt_length"),
    ("objectives", "mad_steps"),
    ("evolution", "screening"),
    ("space", "structures"),
    ("objectives", "weights"),
    ("objectives", "threads"),
    ("objectives", "device"),
    ("data", "tokenizer"),
    ("data", "text_key"),
)
"""Keys (section, name) younger than stored generations, which were made as their defaults say."""

FIRST_RUNTIME = "eager"
FIRST: Mapping[str, str] = {"runtime": FIRST_RUNTIME, "cache": "f32"}
"""Keys of ``objectives`` → what was so before there was a key for it; by default it is otherwise now.

An experiment that does not depend on such a key keeps the identity that it had.
"""


def stated(name: str, section: Section) -> dict[str, Any]:
    """A section as it is stored: keys in ``LATER`` are left out at their defaults.

    Args:
        name: Of the section.
        section: The section.
    """
    values = section.model_dump(mode="json")
    for key in (key for later, key in LATER if later == name):
        default = type(section).model_fields[key].get_default(call_default_factory=True)
        if getattr(section, key) == default:
            del values[key]
    return values


class Params(Section):
    """The whole experiment."""

    generations: int = Field(default=4, ge=0, le=100_000)
    data: Data = Data()
    space: Space = Space()
    model: Model = Model()
    training: Training = Training()
    objectives: Objectives = Objectives()
    evolution: Evolution = Evolution()
    retrain: Retrain = Retrain()
    budget: Budget = Budget()
    runtime: Runtime = Runtime()

    @property
    def workers(self) -> int:
        """Candidates that this machine trains at once."""
        return self.runtime.workers or default_workers(self.training.accelerator, self.training.threads)

    def identity(self) -> dict[str, Any]:
        """The part of the parameters that a stored generation depends on.

        Keys in ``LATER`` are left out at their defaults.
        """
        values = self.model_dump(mode="json", exclude={"generations", "retrain", "budget", "runtime"})
        for name in {section for section, _ in LATER}:
            values[name] = stated(name, getattr(self, name))
        for key, first in FIRST.items():
            if values["objectives"][key] == (
                first if self.objectives.depends_on(key) else getattr(Objectives(), key)
            ):
                del values["objectives"][key]
        return values

    @classmethod
    def stored(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A stored identity with what it leaves out though the default is another one now."""
        section = values.get("objectives", {})
        try:
            stated = Objectives.model_validate(section)
            first = {key: value for key, value in FIRST.items() if stated.depends_on(key)}
        except (ValidationError, StarError):  # whoever reads all of it says what is wrong
            return values
        return {**values, "objectives": {**first, **section}}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of ``identity``."""
        return digest_json(self.identity())
