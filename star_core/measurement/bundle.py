"""A folder that measures models on a device where this package is not installed, and what it brings back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.config import Objectives
from star_core.errors import ConfigError, StarError, StoreError
from star_core.genome.backbone import LIV, Genome
from star_core.genome.space import SearchSpace, reading_space
from star_core.graphs import random_weights, runner
from star_core.graphs.files import write_files
from star_core.measurement import on_device, timing
from star_core.objectives.devices import Figure
from star_core.semantics import MODEL
from star_core.storage.sealed import Digest, Record, Sealed

AGAIN = "copy the file from the device again, or measure there again"
COUNTS = (2, 4)
"""How often a LIV class is repeated in the genomes that consist of it alone."""
AT_RANDOM = 24
_IMPORTS = {"star_core.graphs.runner": "runner", "star_core.measurement.timing": "timing"}


class Entry(Record):
    """A model in a bundle.

    Attributes:
        genome: Text.
        digest: Of the compiled genome.
        width, head_dim, parameters: Size.
        folder: Where its graphs lie.
    """

    genome: str
    digest: Digest
    width: int
    head_dim: int
    parameters: int
    folder: str


class Bundle(Sealed):
    """The list of a bundle (``bundle.json``).

    Attributes:
        semantics: Version of what a genome means.
        weights: Precision of matrices.
        prompt, context: Tokens read, and held.
        vocab_size: Tokens of the vocabulary.
        entries: Models.
    """

    FORMAT = "star-bundle"
    VERSION = on_device.BUNDLE_VERSION

    format: Literal["star-bundle"] = "star-bundle"
    version: Literal[1] = 1
    semantics: int
    weights: str
    prompt: int
    context: int
    vocab_size: int
    entries: tuple[Entry, ...]


class Measurements(Sealed):
    """What a device measured (``measurements.json``).

    Attributes:
        bundle: Digest of the list it was given.
        machine: What the device says of itself.
        runtime, runtime_version: What computed.
        threads: That computed.
        weights, prompt, context, vocab_size, semantics: As in ``Bundle``.
        figures: Model by model.
    """

    FORMAT = on_device.FORMAT
    VERSION = on_device.VERSION

    format: Literal["star-measurements"] = "star-measurements"
    version: Literal[1] = 1
    bundle: Digest
    machine: dict[str, str]
    runtime: str
    runtime_version: str
    threads: int = Field(ge=1)
    weights: str
    prompt: int = Field(ge=1)
    context: int = Field(ge=1)
    vocab_size: int = Field(ge=2)
    semantics: int
    figures: tuple[Figure, ...] = Field(min_length=1)


def write_bundle(folder: Path, architectures: Sequence[Architecture], section: Objectives) -> Bundle:
    """Writes graphs, their list, and what measures them; whole or not at all.

    Args:
        folder: It is made; it must be empty or not be there.
        architectures: Of one vocabulary.
        section: Lengths and precision.

    Raises:
        ConfigError: The folder is not empty, or there is nothing to measure.
        StoreError: It cannot be written.
    """
    if not architectures or len({spec.vocab_size for spec in architectures}) > 1:
        raise ConfigError(
            "a bundle has models of one vocabulary", place="star measure --bundle", fix="name some"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("a bundle is written to a new or empty folder", value=str(folder), place="--bundle")
    entries = [
        Entry(
            genome=str(spec.genome),
            digest=spec.digest,
            width=spec.width,
            head_dim=spec.dims.head_dim,
            parameters=spec.num_parameters,
            folder=f"{number:03d}-{spec.digest[:8]}",
        )
        for number, spec in enumerate(architectures)
    ]
    made = Bundle(
        semantics=MODEL,
        weights=section.weights,
        prompt=section.prompt_length,
        context=section.cache_length,
        vocab_size=architectures[0].vocab_size,
        entries=tuple(entries),
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _fill(unfinished, made, architectures)
            unfinished.chmod(0o755)
            unfinished.replace(folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(folder),
            fix="free disk space, or name another folder",
        ) from error
    return made


def _fill(folder: Path, bundle: Bundle, architectures: Sequence[Architecture]) -> None:
    for entry, spec in zip(bundle.entries, architectures, strict=True):
        (folder / entry.folder).mkdir()
        write_files(folder / entry.folder, spec, random_weights(spec), bundle.weights)
    for module, name in ((runner, "runner"), (timing, "timing"), (on_device, "measure")):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for inside, beside in _IMPORTS.items():
            source = source.replace(f"from {inside} import", f"from {beside} import")
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    bundle.write(folder / "bundle.json")


def read_measurements(path: Path) -> tuple[Measurements, list[Architecture]]:
    """What a device measured, and the architectures of its figures.

    Raises:
        StoreError: The file is missing, of another format or version, edited, or of other genomes than it
            says.
    """
    found = Measurements.read(path, AGAIN)
    if found.semantics != MODEL:
        raise StoreError(
            f"genomes have meant something else since: version {MODEL} is read here",
            value=found.semantics,
            place=f"{path}, semantics",
            fix="make the bundle again with this version, and measure it",
        )
    specs = []
    for number, figure in enumerate(found.figures):
        place = f"{path}, figures.{number}"
        try:
            spec = compile_genome(
                Genome.parse(figure.genome), reading_space(), figure.width, figure.head_dim, found.vocab_size
            )
        except StarError as error:
            raise error.at(place) from None
        if spec.digest != figure.digest:
            raise StoreError(
                "the figures are of another genome than the one that is named",
                value=figure.genome,
                place=place,
                fix="make the bundle again with this version, and measure it",
            )
        specs.append(spec)
    return found, specs


def design(space: SearchSpace, seed: int = 0) -> list[Genome]:
    """Genomes whose times tell what each LIV of a space takes.

    Each class alone, and with each of its sharing strategies, at two counts; and random ones.
    """
    found: dict[str, Genome] = {}
    for genome in (*_alone(space), *_at_random(space, seed)):
        found.setdefault(str(genome), genome)
    return list(found.values())


def _alone(space: SearchSpace) -> Iterator[Genome]:
    for liv_class in space.classes:
        for count in COUNTS:
            yield Genome((LIV(liv_class),) * count)
        for strategy in space.alleles(liv_class, 4):
            for count in COUNTS if strategy != 1 else ():
                yield Genome((LIV(liv_class, 1, 1, 1, strategy),) * count)


def _at_random(space: SearchSpace, seed: int) -> Iterator[Genome]:
    rng = np.random.default_rng(seed)
    for _ in range(AT_RANDOM):
        yield space.sample(rng)
