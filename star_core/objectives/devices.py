"""Another device, known by what was measured on it: seconds and bytes of each LIV; nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from star_core import units
from star_core.architecture import Architecture, Layer
from star_core.config import MEASURED, Objectives, device_file
from star_core.errors import ConfigError
from star_core.objectives.base import NotKnownAtThisSize
from star_core.storage.sealed import Digest, Record, Sealed
from star_core.structures.registered import structure_of

Features = tuple[float, float, float, float]


class Time(Record):
    """Repeats of one timing, as ``star_core.measurement.timing.Timing`` has them."""

    median: float = Field(gt=0)
    spread: float = Field(ge=0)
    low: float = Field(gt=0)
    high: float = Field(gt=0)
    repeats: int = Field(ge=1)
    disturbed: float = Field(ge=0, le=1)


class Figure(Record):
    """What a device measured of one model.

    Attributes:
        genome: Text.
        digest: Of the compiled genome.
        width, head_dim: Size.
        prefill_seconds, decode_seconds_per_token: ``None`` if the device refused it.
        peak_memory_bytes: ``None`` where the device does not tell.
        refused: Why it could not be run; ``None``: it could.
    """

    genome: str
    digest: Digest
    width: int
    head_dim: int
    prefill_seconds: Time | None
    decode_seconds_per_token: Time | None
    peak_memory_bytes: int | None
    refused: str | None

    def value(self, quantity: str) -> float | None:
        """The figure of an objective."""
        found = getattr(self, quantity)
        return found.median if isinstance(found, Time) else found


class Errors(Record):
    """How far predictions of a model that is left out are off, relative to what was measured.

    Attributes:
        genomes: Models that were left out, one at a time.
        median, largest: Of them.
        tau: Kendall's τ between prediction and measurement.
        unseen: Median where the figure of one LIV is left out, and estimated; ``None``: too few LIVs.
    """

    genomes: int
    median: float
    largest: float
    tau: float | None
    unseen: float | None


class Table(Record):
    """One quantity of a model as the sum over its LIVs.

    Attributes:
        constant: What every model takes: embedding, head, and starting.
        livs: LIV (``liv_key``) → what it takes.
        unseen: Of a LIV that is not among them: factors of its ``features``.
        determined: Whether the measured models tell all LIVs apart.
        errors: Leave-one-out.
    """

    constant: float = Field(ge=0)
    livs: dict[str, float]
    unseen: tuple[float, float, float, float]
    determined: bool
    errors: Errors

    def of(self, key: str, features: Features) -> float:
        """What a LIV takes; from its features if it was not measured."""
        known = self.livs.get(key)
        if known is not None:
            return known
        return sum(factor * value for factor, value in zip(self.unseen, features, strict=True))


class LatencyModel(Sealed):
    """A device (``data/devices/NAME.json``).

    Attributes:
        name: As in ``objectives.device``.
        machine: What it says of itself.
        runtime, runtime_version, threads, weights: What computed.
        prompt, context, vocab_size, width, head_dim: Of the models that were measured.
        figures: Model by model.
        tables: Objective → its table.
    """

    FORMAT = "star-device"
    VERSION = 1

    format: Literal["star-device"] = "star-device"
    version: Literal[1] = 1
    name: str
    machine: dict[str, str]
    runtime: str
    runtime_version: str
    threads: int
    weights: str
    prompt: int
    context: int
    vocab_size: int
    width: int
    head_dim: int
    figures: tuple[Figure, ...]
    tables: dict[str, Table]

    @property
    def on(self) -> str:
        """Device, runtime, version, precision and threads."""
        threads = units.plural(self.threads, "thread")
        return f"{self.name}: {self.runtime} {self.runtime_version}, {self.weights}, {threads}"

    def predict(self, architecture: Architecture, quantity: str) -> float:
        """What a model takes on the device.

        Raises:
            ConfigError: The device told nothing of this quantity.
            NotKnownAtThisSize: It has only measured models of another size.
        """
        if quantity not in self.tables:
            raise ConfigError(
                f"the device {self.name!r} has told nothing of this",
                value=quantity,
                place="objectives",
                fix=f"use {' or '.join(self.tables)}",
            )
        size = (architecture.width, architecture.dims.head_dim, architecture.vocab_size)
        if size != (self.width, self.head_dim, self.vocab_size):
            raise NotKnownAtThisSize(
                f"the device {self.name!r} was measured at width {self.width}, heads of {self.head_dim} and "
                f"{self.vocab_size} tokens",
                value=size,
                place="objectives.device",
                fix="use a bundle of this size (star measure --bundle FOLDER --for-search RUN)",
            )
        table = self.tables[quantity]
        return table.constant + sum(
            table.of(liv_key(layer), liv_features(architecture, layer, quantity, self.prompt, self.context))
            for layer in architecture.layers
        )

    def unseen(self, architecture: Architecture) -> list[str]:
        """Names of the LIVs that no measured model had, each once."""
        known = next(iter(self.tables.values())).livs
        names = (layer.liv_class.name for layer in architecture.layers if liv_key(layer) not in known)
        return list(dict.fromkeys(names))


def liv_key(layer: Layer) -> str:
    """What a LIV computes: operator, branches, and each feature group or that it is reused."""
    operator = layer.liv_class.operator
    groups = (
        f"{group.role}{group.genome if group.computed_by == layer.index else ''}" for group in layer.groups
    )
    identity = structure_of(operator.token_mixing).identity
    return f"{str(operator)[1:]}{identity}×{layer.branches} {' '.join(groups)}"


def liv_features(
    architecture: Architecture, layer: Layer, quantity: str, prompt: int, context: int
) -> Features:
    """What the cost of a LIV that was not measured is estimated from: 1, FLOPs, weights, cache."""
    reading = quantity == "prefill_seconds"
    flops = (
        prompt * layer.flops_per_token((prompt + 1) // 2, architecture.dims)
        if reading
        else layer.flops_per_token(context, architecture.dims)
    )
    held = layer.cache_elements(prompt if reading else context)
    return 1.0, float(flops), float(layer.num_parameters), float(held)


def latency_model(section: Objectives) -> LatencyModel:
    """The device that ``objectives.device`` names.

    Raises:
        StoreError: Its file is missing or damaged.
        ConfigError: It is another device than the run began with, or measured under other conditions.
    """
    name, _, pinned = str(section.device).partition("@")
    found = _read(device_file(name))
    if pinned and found.digest != pinned:
        raise ConfigError(
            f"the device {name!r} was measured again since the run began",
            value=found.digest[:12],
            place=str(device_file(name)),
            fix=f"restore the one with digest {pinned[:12]}…, or begin another run",
        )
    for key, stated, measured in (
        ("weights", section.weights, found.weights),
        ("prompt_length", section.prompt_length, found.prompt),
        ("cache_length", section.cache_length, found.context),
        ("threads", section.threads or found.threads, found.threads),
    ):
        if stated != measured:
            raise ConfigError(
                f"the device {name!r} was measured with {measured}",
                value=stated,
                place=f"objectives.{key}",
                fix=f"use {measured}",
            )
    return found


def on_device(quantity: str, architecture: Architecture, section: Objectives) -> float:
    """An objective's value on the device that is named."""
    return latency_model(section).predict(architecture, quantity)


def _read(path: Path) -> LatencyModel:
    return _cached(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _cached(path: Path, changed: int) -> LatencyModel:
    return LatencyModel.read(path, "import it again: star measure --import measurements.json --as NAME")


def stated(model: LatencyModel) -> Mapping[str, str]:
    """Objective → how far its predictions are off, in words."""
    texts = {}
    for quantity in (name for name in MEASURED if name in model.tables):
        table = model.tables[quantity]
        errors = table.errors
        text = f"median error {units.percent(errors.median, 1)}, largest {units.percent(errors.largest, 1)} "
        text += f"of {errors.genomes} models left out one by one"
        if errors.tau is not None:
            text += f", τ {units.signed(errors.tau)}"
        if errors.unseen is not None:
            text += f"; a LIV that was not measured: {units.percent(errors.unseen)}"
        if not table.determined:
            text += "; the models do not tell all LIVs apart (measure a bundle made with --for-search)"
        texts[quantity] = text
    return texts
