"""What an objective is: a name and a number to minimise, measured on a spec and its training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.errors import ConfigError
from star_core.registry import Registry

Measure = Callable[[Architecture, Mapping[str, float], Objectives], float]


@dataclass(frozen=True, slots=True)
class Objective:
    """One quantity to minimise.

    Attributes:
        name: As in ``params.yaml``.
        title: As in tables and pictures.
        unit: Of its value.
        trained: Whether it needs the metrics of a training; static objectives need the spec alone.
        measure: ``(architecture, training metrics, objectives section)`` → value.
    """

    name: str
    title: str
    unit: str
    trained: bool
    measure: Measure


OBJECTIVES: Registry[Objective] = Registry(
    "objective", "star_core.objectives", "star.objectives", "objectives", ConfigError
)


def register(entry: Objective) -> Objective:
    """Makes an objective known by its name; called once, in the file that defines it."""
    return OBJECTIVES.add(entry.name, entry)


def objective(name: str) -> Objective:
    """The objective of this name: a file here, or from a package's ``star.objectives`` entry point.

    Raises:
        ConfigError: There is none.
    """
    return OBJECTIVES[name]


def measure(
    architecture: Architecture, metrics: Mapping[str, float] | None, section: Objectives
) -> tuple[dict[str, float | None], float]:
    """Objective values and constraint violation of one candidate.

    Args:
        architecture: The spec.
        metrics: Metrics of its training; ``None`` if that failed.
        section: Which objectives and constraints.

    Returns:
        Name → value (``None`` where training failed) for objectives and constrained quantities, and
        the sum over constraints of ``max(0, value / limit - 1)``.
    """
    values: dict[str, float | None] = {}
    for name in dict.fromkeys((*section.selected, *section.constraints)):
        entry = objective(name)
        missing = entry.trained and metrics is None
        values[name] = None if missing else entry.measure(architecture, metrics or {}, section)
    violation = 0.0
    for name, limit in section.constraints.items():
        value = values[name]
        if value is not None and value > limit:
            violation += (value - limit) / max(abs(limit), 1e-12)
    return values, violation
