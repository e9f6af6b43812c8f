"""``star measure``: here, one model or several side by side; or on another device, by a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from star_core import units
from star_core.analysis.terminal.output import Output
from star_core.architecture import Architecture
from star_core.config import Model, Params, device_file
from star_core.errors import ConfigError
from star_core.evolution.base import Problem
from star_core.measurement.bundle import design, read_measurements, write_bundle
from star_core.measurement.isolated import measure_all, measure_side_by_side
from star_core.measurement.latency_model import fit_device
from star_core.measurement.side_by_side import Entry
from star_core.measurement.side_by_side_table import side_by_side
from star_core.measurement.table import measurements
from star_core.objectives.base import objective
from star_core.objectives.devices import stated
from star_core.objectives.latency import settings
from star_core.objectives.runtimes import runtime
from star_core.population.generation import RUN_NAME


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
        section = params.objectives
        settings(params, 2)  # refused before anything is measured
        runtime(section.runtime, section.weights).require()
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


def one_task(genomes: bool, bundle: bool, search: bool, imported: bool, name: bool) -> None:
    """Refuses what does not go together.

    Each argument is whether genomes are named, or an option given.

    Raises:
        ConfigError: They ask for two things, or for nothing.
    """
    for wrong, rule, fix in (
        (
            imported != name,
            "--import and --as go together",
            "star measure --import measurements.json --as NAME",
        ),
        (imported and (genomes or bundle), "--import takes no genomes and no --bundle", "leave them out"),
        (search and not bundle, "--for-search is of a bundle", "add --bundle FOLDER"),
        (not (genomes or search or imported), "nothing is named that could be measured", "name a genome"),
    ):
        if wrong:
            raise ConfigError(rule, place="star measure", fix=fix)


def bundle_command(
    folder: Path,
    named: Sequence[tuple[str, Architecture]],
    runtimes: Sequence[Params],
    search: Params | None,
    width: int | None,
) -> Output:
    """Writes a folder that measures on another device.

    Args:
        folder: It is made.
        named: Genomes to measure.
        runtimes: Parameters with lengths and precision; there can be but one.
        search: The run whose search space is to be known; ``None``: only what is named.
        width: Channels in place of the run's.

    Raises:
        ConfigError: Several precisions, another runtime than ONNX Runtime, or a folder that is not empty.
        StoreError: The folder cannot be written.
    """
    section = runtimes[0].objectives
    if len(runtimes) > 1 or section.runtime != "onnxruntime":
        raise ConfigError(
            "a bundle measures in one precision, on onnxruntime",
            value=", ".join(
                f"{params.objectives.runtime} {params.objectives.weights}" for params in runtimes
            ),
            place="star measure --bundle",
            fix="leave --runtime out and name one of --weights",
        )
    specs = [architecture for _, architecture in named]
    if search is not None:
        model = search.model if width is None else Model(width=width)
        problem = Problem(search.model_copy(update={"model": model}), specs[0].vocab_size if specs else 256)
        specs += [problem.compile(genome) for genome in design(problem.space)]
    different = {spec.digest: spec for spec in specs}
    made = write_bundle(folder, list(different.values()), section)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Output(
        {"folder": str(folder), "models": len(made.entries), "bytes": size, "digest": made.digest},
        [
            Text(f"{units.plural(len(made.entries), 'model')}, {made.weights}, {units.size(size)}: {folder}"),
            Text("On the device, with onnxruntime 1.23 or later and numpy: python measure.py"),
            Text("Then here: star measure --import measurements.json --as NAME"),
        ],
    )


def import_command(path: Path, name: str) -> Output:
    """Takes over what a device measured, and fits its model.

    Raises:
        StoreError: The file is none of a bundle's, was edited, or is of other genomes than it says.
        ConfigError: There are too few models in it, or the name is none.
    """
    if not RUN_NAME.fullmatch(name):
        raise ConfigError(
            "a device's name is up to 64 letters, digits, '_' and '-', a letter or digit first",
            value=name,
            place="--as",
            fix="use e.g. pi5",
        )
    found, specs = read_measurements(path)
    model = fit_device(name, found, specs)
    place = device_file(name)
    model.write(place)
    errors = stated(model)
    refused = [figure for figure in found.figures if figure.refused is not None]
    return Output(
        {
            "device": name,
            "file": str(place),
            "digest": model.digest,
            "machine": model.machine,
            "on": model.on,
            "models": len(found.figures) - len(refused),
            "refused": {figure.genome: figure.refused for figure in refused},
            "tables": {quantity: table.model_dump() for quantity, table in model.tables.items()},
        },
        [
            Text(f"{model.on}; {model.machine['processor']}"),
            *(Text(f"{objective(quantity).title}: {text}.") for quantity, text in errors.items()),
            *(Text(f"{figure.genome} was refused: {figure.refused}") for figure in refused),
            Text(f"Stored as {place}. A search for it has objectives.device: {name} in its parameters."),
        ],
    )
