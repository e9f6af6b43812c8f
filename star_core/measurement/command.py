"""``star measure``: one model against the machine's limits, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from star_core.analysis.terminal.output import Output
from star_core.architecture import Architecture
from star_core.config import Params
from star_core.measurement.isolated import measure_all, measure_side_by_side
from star_core.measurement.side_by_side import Entry
from star_core.measurement.side_by_side_table import side_by_side
from star_core.measurement.table import measurements
from star_core.objectives.latency import settings


def measure_command(
    named: Sequence[tuple[str, Architecture]], runtimes: Sequence[Params], repeats: int, verbose: bool
) -> Output:
    """Measures every architecture on every runtime.

    Args:
        named: Each as the user named it.
        runtimes: Parameters, which differ in runtime and precision alone.
        repeats: Undisturbed repeats of each timing.
        verbose: Whether kernels are told.

    Raises:
        ConfigError: A runtime is not installed, or has no such weights.
        StarError: An architecture could not be measured.
    """
    for params in runtimes:
        settings(params, 2)  # refused before anything is measured
    entries = [
        Entry(number, name, architecture, params)
        for params in runtimes
        for number, (name, architecture) in enumerate(named, 1)
    ]
    kernels = {}
    if verbose:
        from star_core.measurement.kernels import kernels_of

        kernels = kernels_of(entries)
    if len(entries) == 1:
        found = measure_all([named[0][1]], runtimes[0], repeats)
        return measurements(found, runtimes[0].objectives, next(iter(kernels.values()), {}))
    return side_by_side(measure_side_by_side(entries, runtimes[0].training, repeats), kernels)
