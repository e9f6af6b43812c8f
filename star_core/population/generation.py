"""A generation: one JSON file, byte-identical whenever it is computed again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from star_core.config import Params, stored_params
from star_core.config.plain_yaml import is_text
from star_core.errors import StarError, StoreError
from star_core.genome.backbone import Genome
from star_core.population.individual import Individual, IndividualId, Past
from star_core.storage.sealed import Digest, Record, Sealed

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FILE = re.compile(r"gen_(\d{3,6})\.json")


class Parent(Record):
    """The generation this one was made from.

    It has the index before this one's; the same index if this one is the beginning of a fork, whose
    population is that of the other run's generation, assessed by the fork's own experiment.
    """

    run: str
    index: int = Field(ge=0)
    digest: Digest


class Generation(Sealed):
    """A population and how it came about.

    Attributes:
        run: Name of the run.
        index: 0 for the founders.
        parent: ``None`` for the founders.
        parameters: The part of the parameters it depends on (``Params.identity``).
        data_digest: Digest of the prepared corpus.
        vocab_size: Of its tokens.
        semantics: Versions of model and search half that made it (``star_core/semantics.py``), and of what
            becomes of candidates over a limit, where one may be.
        population: Survivors, best first (rank, then crowding).
        rejected: Offspring of this generation that did not survive.
        evicted: Names of the parent generation's individuals that did not survive.
        archive: All candidates of the run that were trained to the end, the latest last, where its
            algorithm learns from them.
        bytes_per_token: Bytes of held-out text a token stands for, where a tokenizer made it.
    """

    FORMAT = "star-generation"
    VERSION = 1
    LATER = frozenset({"archive", "bytes_per_token"})

    format: Literal["star-generation"] = "star-generation"
    version: Literal[1] = 1
    run: str
    index: int = Field(ge=0)
    parent: Parent | None
    parameters: dict[str, Any]
    data_digest: Digest
    vocab_size: int = Field(ge=2)
    semantics: dict[str, int]
    population: tuple[Individual, ...] = Field(min_length=1)
    rejected: tuple[Individual, ...]
    evicted: tuple[IndividualId, ...]
    archive: tuple[Past, ...] | None = None
    bytes_per_token: float | None = Field(default=None, gt=0)

    @field_validator("run")
    @classmethod
    def _run_is_a_name(cls, run: str) -> str:
        return check_run_name(run)

    @property
    def is_fork(self) -> bool:
        """Whether this is the beginning of a run that was forked from another one's generation."""
        return self.parent is not None and self.parent.index == self.index

    @property
    def born(self) -> tuple[Individual, ...]:
        """Individuals evaluated in this generation, in the order they were made."""
        both = (*self.population, *self.rejected)
        own = (individual for individual in both if self.is_fork or individual.born == self.index)
        return tuple(sorted(own, key=lambda individual: (len(individual.id), individual.id)))

    @property
    def front(self) -> tuple[Individual, ...]:
        """Feasible, successfully trained individuals that none of the population dominates."""
        return tuple(
            individual
            for individual in self.population
            if individual.rank == 0 and individual.ok and individual.violation == 0
        )

    def params(self) -> Params:
        """The parameters it was made with (those that do not matter to it at their defaults)."""
        return stored_params(self.parameters, f"{self.run}, generation {self.index}, parameters")


def check_run_name(name: str) -> str:
    """Returns a run name that can stand in a path.

    Raises:
        StoreError: Other characters than letters, digits, ``_`` and ``-``, or more than 64.
    """
    if not RUN_NAME.fullmatch(name):
        raise StoreError(
            "a run's name is up to 64 letters, digits, '_' and '-', a letter or digit first",
            value=name,
            place="run",
            fix=f"use {_fitting(name)!r}",
        )
    return name


def check_new_run_name(name: str) -> str:
    """Returns a name that a run may be given; runs that are stored may have others, of old versions.

    Raises:
        StoreError: As ``check_run_name``; or YAML, of which DVC makes its stages, reads it as no text.
    """
    if not is_text(check_run_name(name)):
        raise StoreError(
            "a run's name is none that YAML may read as a number, a boolean or null",
            value=name,
            place="run",
            fix=f"use {_fitting(name)!r}",
        )
    return name


def _fitting(name: str) -> str:
    fixed = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "main"
    return (fixed if is_text(fixed) else f"run-{fixed}")[:64]


def generation_path(run: str, index: int, root: str | Path = "data") -> Path:
    """Where a generation is stored."""
    return Path(root) / "populations" / check_run_name(run) / f"gen_{index:03d}.json"


def read_generation(path: Path, run: str | None = None, index: int | None = None) -> Generation:
    """Reads a generation file and checks all of it.

    Args:
        path: The file.
        run: The run it must belong to, if that matters.
        index: The generation it must be.

    Raises:
        StoreError: Missing, malformed, of another format version, tampered with, or another run's;
            names the file, the key, the value and what to do.
    """
    place = str(path)
    fix = f"restore it (dvc checkout {place}), or delete it to compute it again"
    generation = Generation.read(path, fix)
    for key, expected in (("run", run), ("index", index)):
        if expected is not None and getattr(generation, key) != expected:
            raise StoreError(
                f"this place holds {key} {expected!r}",
                value=getattr(generation, key),
                place=f"{place}, {key}",
                fix=fix,
            )
    check_individuals(generation, place, fix)
    return generation


def check_individuals(generation: Generation, place: str, fix: str) -> None:
    """Raises ``StarError`` unless every individual is one of this experiment, each there once."""
    params = generation.params()
    wanted = {*params.objectives.selected, *params.objectives.constraints}
    seen: set[str] = set()
    for individual in (*generation.population, *generation.rejected):
        here = f"{place}, individual {individual.id}"
        try:
            genome = Genome.parse(individual.genome)
        except StarError as error:
            raise error.at(here) from None
        missing = wanted ^ set(individual.objectives)
        unknown = [name for name, value in individual.objectives.items() if value is None]
        for holds, rule, value in (
            (individual.id not in seen, "each individual is there once", individual.id),
            (
                genome.depth in params.space.depths,
                f"genomes have {params.space.depth_in_words}",
                individual.genome,
            ),
            (not missing, "it has exactly the run's objectives", sorted(missing)),
            (not (individual.ok and unknown), "a trained individual has all objectives", unknown),
        ):
            if not holds:
                raise StoreError(rule, value=value, place=here, fix=fix)
        seen.add(individual.id)


def stored_generations(run: str, root: str | Path = "data") -> list[Generation]:
    """All stored generations of a run, from its founders or its fork on, as one unbroken lineage.

    Raises:
        StoreError: A file is unusable, or does not follow from the one before it.
    """
    generations: list[Generation] = []
    index = first_index(run, root)
    while (path := generation_path(run, index, root)).exists():
        generation = read_generation(path, run, index)
        if generations:
            check_lineage(generation, generations[-1], path)
        generations.append(generation)
        index += 1
    return generations


def first_index(run: str, root: str | Path = "data") -> int:
    """Index of the generation a run begins with: 0, or where it was forked from another one.

    Raises:
        StoreError: The first stored generation is unusable.
    """
    folder = generation_path(run, 0, root).parent
    found = sorted(int(name[1]) for path in folder.glob("gen_*.json") if (name := _FILE.fullmatch(path.name)))
    if not found or not found[0]:
        return 0
    first = read_generation(generation_path(run, found[0], root), run, found[0])
    return first.index if first.is_fork else 0


def next_index(generations: Sequence[Generation]) -> int:
    """Index of the generation that follows these."""
    return generations[-1].index + 1 if generations else 0


def check_lineage(child: Generation, parent: Generation, path: Path) -> None:
    """Raises ``StoreError`` unless ``child`` was made from exactly ``parent``."""
    if child.parent is None or child.parent.digest != parent.digest:
        raise StoreError(
            f"generation {child.index} was made from another generation {parent.index} than the stored one",
            value=child.parent.digest[:12] if child.parent else None,
            place=f"{path}, parent.digest",
            fix="delete it and the generations after it to compute them again",
        )


def new_generation(
    run: str,
    index: int,
    parent: Generation | None,
    params: Params,
    semantics: dict[str, int],
    data_digest: str,
    vocab_size: int,
    population: tuple[Individual, ...],
    rejected: tuple[Individual, ...],
    evicted: tuple[str, ...],
    archive: tuple[Past, ...] | None = None,
    bytes_per_token: float | None = None,
) -> Generation:
    """A generation made here and now."""
    return Generation(
        run=run,
        index=index,
        parent=Parent(run=parent.run, index=parent.index, digest=parent.digest) if parent else None,
        parameters=params.identity(),
        data_digest=data_digest,
        vocab_size=vocab_size,
        semantics=semantics,
        population=population,
        rejected=rejected,
        evicted=evicted,
        archive=archive,
        bytes_per_token=bytes_per_token,
    )
