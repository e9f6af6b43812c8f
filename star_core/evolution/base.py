"""What an evolutionary algorithm is: founders, variation and survival, each a pure function.

The next generation depends on the stored parent, the parameters and the seed, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.config import Evolution, Params, Section
from star_core.errors import ConfigError, StarError
from star_core.genome.backbone import Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.genome.space import SearchSpace, reading_space
from star_core.population.individual import Individual, Offspring, Origin, individual_id
from star_core.registry import Registry


class Purpose(IntEnum):
    """What a stream of random numbers is for; streams never mix."""

    SAMPLING = 0
    VARIATION = 1
    SURVIVAL = 2
    SCREENING = 3


@dataclass(frozen=True)
class Problem:
    """Everything variation needs to know besides the population.

    Attributes:
        params: The experiment.
        vocab_size: Of the prepared corpus.
        bytes_per_token: Bytes of held-out text a token stands for, where a tokenizer made it.
        watch: Told of every child as crossover and mutation made it, before guard rails; for counting.
    """

    params: Params
    vocab_size: int
    bytes_per_token: float | None = None
    watch: Callable[[Genome], None] | None = field(default=None, compare=False, repr=False)
    space: SearchSpace = field(init=False)

    def __post_init__(self) -> None:
        section = self.params.space
        space = SearchSpace.preset(
            section.preset,
            section.depth,
            section.groups,
            min_depth=section.min_depth,
            classes=section.classes,
            novelty=section.novelty,
            class_mutation=section.class_mutation,
            structures=section.structures,
        )
        object.__setattr__(self, "space", space)

    def compile(self, genome: Genome) -> Architecture:
        """The architecture of a genome at the experiment's size.

        A genome need not belong to the search space: the baselines may use classes that it leaves out.
        """
        model = self.params.model
        return compile_genome(genome, reading_space(), model.width, model.head_dim, self.vocab_size)

    def rng(self, generation: int, purpose: Purpose) -> np.random.Generator:
        """The random numbers of one generation for one purpose."""
        root = np.random.SeedSequence(self.params.evolution.seed, spawn_key=(generation, int(purpose)))
        return np.random.default_rng(root)

    @cached_property
    def seeds(self) -> tuple[Genome, ...]:
        """Hand-designed founders.

        Raises:
            StarError: A seed cannot be read or is not valid in the search space.
        """
        genomes = []
        for text in self.params.evolution.seeds:
            try:
                genome = baseline(text, self.space.depth) if text in PATTERNS else Genome.parse(text)
                genome = self.space.adopt(genome)
                self.space.validate(genome)
            except StarError as error:
                raise error.at(f"evolution.seeds, {text!r}") from None
            if genome.depth not in self.space.depths:
                raise ConfigError(
                    f"a seed has the search space's depth, {self.params.space.depth_in_words}",
                    value=text,
                    place="evolution.seeds",
                    fix=f"write {self.space.depth} LIVs, not {genome.depth}",
                )
            genomes.append(genome)
        if len(genomes) > self.params.evolution.population:
            raise ConfigError(
                f"at most as many seeds as individuals ({self.params.evolution.population})",
                value=len(genomes),
                place="evolution.seeds",
                fix="drop some, or raise evolution.population",
            )
        return tuple(genomes)


@runtime_checkable
class Algorithm(Protocol):
    """An evolutionary algorithm. Register an instance under its name with ``register``."""

    def vary(
        self, problem: Problem, parents: Sequence[Individual], index: int, known: frozenset[str]
    ) -> list[Offspring]:
        """The offspring of generation ``index``, none with a digest in ``known``."""
        ...

    def survive(self, problem: Problem, candidates: Sequence[Individual], index: int) -> list[Individual]:
        """The population of generation ``index``, best first, with rank and crowding set."""
        ...


ALGORITHMS: Registry[Algorithm] = Evolution.plugins


def register(name: str, entry: Algorithm, settings: type[Section] | None = None) -> Algorithm:
    """Makes an algorithm known; called once, in the file that defines it.

    Args:
        name: As in ``evolution.algorithm``.
        entry: The algorithm.
        settings: The section of parameters it has under its name, which it reads with
            ``problem.params.evolution.settings_of(name, settings)``; ``None``: none.

    Raises:
        ConfigError: It is no algorithm, the name is taken, or a setting has no default.
    """
    if not isinstance(entry, Algorithm):
        raise ConfigError(
            "an algorithm has the methods vary and survive", value=entry, fix="see docs/extending.md"
        )
    return Evolution.add_plugin(name, entry, settings)


def algorithm(name: str) -> Algorithm:
    """The algorithm of this name: a file here, or from a package's ``star.algorithms`` entry point.

    Raises:
        ConfigError: There is none.
    """
    return ALGORITHMS[name]


def founders(problem: Problem) -> list[Offspring]:
    """Generation 0: hand-designed seeds first, then random valid genomes, no two alike.

    Raises:
        ConfigError: The search space is too small for so many different individuals, or cannot be
            built at this width.
    """
    size = problem.params.evolution.population
    rng = problem.rng(0, Purpose.SAMPLING)
    found: dict[str, Offspring] = {}

    def add(genome: Genome, operator: str) -> None:
        digest = problem.compile(genome).digest
        if digest not in found and len(found) < size:
            found[digest] = Offspring(
                id=individual_id(0, len(found)),
                genome=str(genome),
                digest=digest,
                parents=(),
                origin=Origin(operator=operator),  # type: ignore[arg-type]
            )

    for genome in problem.seeds:
        add(genome, "seed")
    for _ in range(100 * size):
        if len(found) == size:
            break
        add(problem.space.sample(rng), "random")
    if len(found) < size:
        raise ConfigError(
            f"the search space yields only {len(found)} different founders",
            value=size,
            place="evolution.population",
            fix=f"use at most {len(found)}, or a deeper or wider search space",
        )
    return list(found.values())
