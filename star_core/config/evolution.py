"""How a search selects and varies genomes, and which of them it trains to the end."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from star_core.config.section import FROM_LIST, ExtensibleSection, Section
from star_core.errors import ConfigError
from star_core.registry import Registry

Share = Annotated[float, Field(gt=0, lt=1)]


def _rising(rungs: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(rungs)):
        raise ValueError("rungs rise, e.g. [0.25, 0.5]")
    return rungs


class Halving(Section):
    """Successive halving (arXiv 1502.07943) in a generation: not all candidates are trained to the end.

    Attributes:
        rungs: Shares of the steps after which candidates are compared, rising; empty: all are trained
            to the end, as in the paper.
        keep: Share that goes on from each rung, from its weights; at least one candidate.
    """

    rungs: Annotated[tuple[Share, ...], AfterValidator(_rising), FROM_LIST] = ()
    keep: Share = 0.5


class Screening(Section):
    """Pre-screening of offspring by a learned predictor.

    Attributes:
        factor: Offspring made for each that is trained; 1: no screening, as in the paper.
        minimum: Trained candidates the predictor learns from at least; before that nothing is screened.
        explore: Share of the trained offspring that is taken at random from what the predictor left.
    """

    factor: int = Field(default=1, ge=1, le=1000)
    minimum: int = Field(default=12, ge=2)
    explore: float = Field(default=0.25, ge=0, le=1)


class Evolution(ExtensibleSection):
    """How genomes are selected and varied (arXiv 2411.17800, §4).

    An algorithm of a plug-in may have settings of its own, under its name.

    Attributes:
        algorithm: A file in ``star_core/evolution``.
        population: Individuals that survive a generation.
        offspring: New individuals per generation; ``null``: as many as the population.
        tournament: Individuals compared to pick one parent.
        crossover_points: k of the k-point crossover.
        crossover_rate: Share of matings that recombine.
        crossover: Where parents are cut: between ``genes``, between ``livs``, or between LIVs with sharing
            groups renamed so that ``links`` of a parent survive.
        mutation_rate: Probability per position.
        mutation: ``free``: to any allele valid for the position by itself; ``fitting``: to one that breaks
            nothing in the rest of the genome; where there is none, the position stays as it is.
        repair: What becomes of invalid children: ``guard_rails`` re-samples their invalid positions,
            ``resample`` mates again, ``reject`` leaves their places empty.
        elites: Best individuals that a plain genetic algorithm never replaces (NSGA-II keeps them anyway).
        halving: Which candidates are trained to the end.
        screening: Which offspring are trained at all.
        seeds: Hand-designed genomes (or baseline names) among the founders.
        seed: Root of all random numbers of the search.
    """

    plugins: ClassVar[Registry[Any]] = Registry(
        "algorithm", "star_core.evolution", "star.algorithms", "evolution.algorithm", ConfigError
    )

    algorithm: str = "nsga2"
    population: int = Field(default=8, ge=2, le=100_000)
    offspring: int | None = Field(default=None, ge=1, le=100_000)
    tournament: int = Field(default=2, ge=1)
    crossover_points: int = Field(default=2, ge=1)
    crossover_rate: float = Field(default=0.9, ge=0, le=1)
    crossover: Literal["genes", "livs", "links"] = "genes"
    mutation_rate: float = Field(default=0.1, ge=0, le=1)
    mutation: Literal["free", "fitting"] = "free"
    repair: Literal["guard_rails", "resample", "reject"] = "guard_rails"
    elites: int = Field(default=2, ge=0, le=100_000)
    halving: Halving = Halving()
    screening: Screening = Screening()
    seeds: list[str] = Field(default_factory=list)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @property
    def num_offspring(self) -> int:
        """New individuals per generation."""
        return self.population if self.offspring is None else self.offspring
