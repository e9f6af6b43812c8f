"""What an objective is: a name and a number to minimise, measured on a spec and its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from star_core import units
from star_core.architecture import Architecture
from star_core.config import Objectives, Section
from star_core.errors import ConfigError, StarError
from star_core.objectives.probe import SPREAD, Probe
from star_core.registry import Registry

Measure = Callable[[Architecture, Mapping[str, float], Objectives], float]


class NotKnownAtThisSize(ConfigError):  # noqa: N818
    """An objective that cannot be known of architectures of this size; its value is ``None`` there."""


MOST_VIOLATION = 1e29
"""The sum of violations is cut off here, below what a candidate that failed counts as."""


@dataclass(frozen=True, slots=True)
class Objective:
    """One quantity to minimise.

    Attributes:
        name: As in ``params.yaml``.
        title: As in tables and pictures.
        unit: Of its value, as ``units.quantity`` prints it: ``B``, ``s``, ``J``, ``%`` of a share, ``count``,
            or nothing for a plain number.
        trained: Whether it needs the metrics of a training; static objectives need the spec alone.
        measure: ``(architecture, metrics of training and probes, objectives section)`` → value, a finite
            number of any sign; an exception, or any other value, is a failure of the candidate.
        probe: What must be measured on the candidate besides its training; ``None``: nothing.
        noise: Relative difference below which two values are the same to dominance, even where the repeats
            of a measurement spread less; 0: the value is exact.
        digits: That are printed; of a plain number, decimals.
        settings: The section of parameters it has under its name, which ``measure`` and the probe's settings
            read with ``section.settings_of(name, settings)``; ``None``: none.
        least: ``(backbone, objectives section)`` → what every architecture has at least that begins with the
            LIVs of this backbone, of which there may be none; ``None``: nothing is known of that.
        on_device: ``(architecture, objectives section)`` → value on the device that ``objectives.device``
            names, from the spec alone: ``measure`` and the probe are not asked then; ``None``: it has none.
    """

    name: str
    title: str
    unit: str
    trained: bool
    measure: Measure
    probe: Probe | None = None
    noise: float = 0.0
    digits: int = 3
    settings: type[Section] | None = None
    least: Callable[[Architecture, Objectives], float] | None = None
    on_device: Callable[[Architecture, Objectives], float] | None = None

    @property
    def needs_process(self) -> bool:
        """Whether a candidate must run to know it: be trained, or be probed."""
        return self.trained or self.probe is not None

    def text(self, value: float | None) -> str:
        """A value in its unit."""
        return units.quantity(value, self.unit, self.digits)


def at_least(value: float) -> Callable[[Architecture, Objectives], float]:
    """``Objective.least`` of one that is never below ``value``, whatever the architecture."""
    return lambda architecture, section: value


OBJECTIVES: Registry[Objective] = Objectives.plugins


def register(entry: Objective) -> Objective:
    """Makes an objective known by its name; called once, in the file that defines it.

    Raises:
        ConfigError: It is no objective, its name is taken, or a setting has no default.
    """
    if not isinstance(entry, Objective):
        raise ConfigError("what is registered is an Objective", value=entry, fix="see docs/extending.md")
    return Objectives.add_plugin(entry.name, entry, entry.settings)


def objective(name: str) -> Objective:
    """The objective of this name: a file here, or from a package's ``star.objectives`` entry point.

    Raises:
        ConfigError: There is none.
    """
    return OBJECTIVES[name]


def objective_of(section: Objectives, name: str) -> Objective:
    """The objective as an experiment has it: static where a device's figures stand in for a probe.

    Raises:
        ConfigError: There is none.
    """
    entry = objective(name)
    if section.device is None or entry.on_device is None:
        return entry
    on_device = entry.on_device
    return replace(
        entry, measure=lambda spec, metrics, section: on_device(spec, section), probe=None, noise=0.0
    )


def described(name: str) -> Objective:
    """The objective of this name, to be printed; where it is not installed, a plain number of that name."""
    try:
        return objective(name)
    except ConfigError:
        return Objective(name, name, "", False, lambda architecture, metrics, section: metrics[name])


def measure(
    architecture: Architecture, metrics: Mapping[str, float] | None, section: Objectives
) -> tuple[dict[str, float | None], float, str | None]:
    """Objective values and constraint violation of one candidate, and why it failed if an objective did.

    Args:
        architecture: The spec.
        metrics: Metrics of its training and of the ``probes``; ``None`` if one of them failed.
        section: Which objectives and constraints.

    Returns:
        Name → value (``None`` where training or the objective failed, or where it cannot be known) for
        objectives and constrained quantities; their ``violation``; and the first objective that is no
        finite number, with what it is.

    Raises:
        StarError: What an objective reports as a mistake of the experiment.
    """
    values: dict[str, float | None] = {}
    failure = None
    for name in dict.fromkeys((*section.selected, *section.constraints)):
        entry = objective_of(section, name)
        values[name] = None
        if metrics is None and entry.needs_process:
            continue
        try:
            value = entry.measure(architecture, metrics or {}, section)
            if math.isfinite(value):
                values[name] = float(value)
            else:
                failure = failure or f"{name} is {value}"
        except NotKnownAtThisSize:
            continue
        except StarError:
            raise
        except Exception as error:
            # Code of a plug-in, which may raise anything.
            failure = failure or f"{name}: {type(error).__name__}: {error}"
    return values, violation(values, section), failure


def violation(values: Mapping[str, float | None], section: Objectives) -> float:
    """The sum over constraints of ``excess``, at most ``MOST_VIOLATION``; unknown values add nothing."""
    total = 0.0
    for name, limit in section.constraints.items():
        value = values[name]
        if value is not None and value > limit:
            total += excess(value, limit)
    return min(total, MOST_VIOLATION)


def excess(value: float, limit: float) -> float:
    """By how much a value is beyond its limit, relative to the limit.

    Nothing is relative to a limit of 0: the excess is then log(1 + value), which is less for a smaller
    value of any magnitude and does not drown the other constraints.
    """
    return (value - limit) / max(abs(limit), 1e-12) if limit else math.log1p(value)


def probes(section: Objectives) -> tuple[Probe, ...]:
    """What must be measured besides training for these objectives and constraints, each probe once."""
    entries = [objective_of(section, name) for name in (*section.selected, *section.constraints)]
    return tuple(dict.fromkeys(entry.probe for entry in entries if entry.probe is not None))


def check_runner(section: Objectives, runner: str) -> None:
    """Raises ``ConfigError`` if an objective is measured on the device and other machines do the work."""
    if runner != "local" and any(probe.alone for probe in probes(section)):
        raise ConfigError(
            "objectives that are measured on the device need a run on that device alone",
            value=runner,
            place="runtime.runner",
            fix="use local, or estimates in their place: prefill_flops, decode_flops, cache_bytes",
        )


def spreads(metrics: Mapping[str, float], section: Objectives) -> dict[str, float]:
    """Relative standard deviation of every selected objective that has noise, by its name.

    Never below the objective's own ``noise``, which also holds what differs between two measurements.
    """
    entries = [objective_of(section, name) for name in section.selected]
    noisy = [entry for entry in entries if entry.noise > 0]
    return {entry.name: max(entry.noise, metrics.get(entry.name + SPREAD, 0.0)) for entry in noisy}
