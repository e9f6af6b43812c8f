"""Candidates as the report reads them: individuals, baselines and retrained ones with their architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from star_core.architecture import Architecture
from star_core.config import Objectives, Params
from star_core.errors import StoreError
from star_core.evolution.base import Problem
from star_core.genome.backbone import Genome
from star_core.objectives.base import described
from star_core.objectives.perplexity import Bits
from star_core.population.comparison import Comparison, Entry
from star_core.population.generation import Generation
from star_core.population.individual import Individual


@dataclass(frozen=True)
class Candidate:
    """An architecture with its results: an individual, a baseline or a retrained one.

    Attributes:
        name: Its name.
        architecture: At the run's size.
        ok: Whether it was trained.
        objectives: Name → value, ``None`` where unknown.
        tokens: Tokens it was trained on.
        key: Its evaluation in the store.
    """

    name: str
    architecture: Architecture
    ok: bool
    objectives: Mapping[str, float | None]
    tokens: int
    key: str

    def value(self, name: str, section: Objectives) -> float | None:
        """An objective; what takes no training is known in any case."""
        if name == "parameters":
            return float(self.architecture.num_parameters)
        if name == "cache_bytes":
            return float(
                self.architecture.cache_bytes(section.cache_length, feature_bytes=section.feature_bytes)
            )
        return self.objectives.get(name) if self.ok or not described(name).needs_process else None


def candidate_of(individual: Individual, params: Params, vocab_size: int) -> Candidate:
    """An individual with its architecture."""
    architecture = compiled(Genome.parse(individual.genome), params, vocab_size)
    return Candidate(
        individual.id,
        architecture,
        individual.ok,
        individual.objectives,
        individual.cost.tokens,
        individual.key,
    )


def candidates_of(comparison: Comparison, params: Params, vocab_size: int) -> tuple[Candidate, ...]:
    """The entries of a comparison with their architectures, in its order."""

    def candidate(entry: Entry) -> Candidate:
        architecture = compiled(Genome.parse(entry.genome), params, vocab_size)
        ok = entry.status == "ok"
        return Candidate(entry.name, architecture, ok, entry.objectives, entry.cost.tokens, entry.key)

    return tuple(candidate(entry) for entry in comparison.entries)


def compiled(genome: Genome, params: Params, vocab_size: int) -> Architecture:
    """A genome at the run's size; baselines may use classes that its space leaves out.

    Raises:
        GenomeError: It is valid in no search space.
    """
    return Problem(params, vocab_size).compile(genome)


def vocab_size_of(generation: Generation) -> int:
    """The vocabulary size a run was made with.

    Raises:
        StoreError: A genome of this generation compiles to another architecture than it did then.
    """
    individual = generation.population[0]
    if (
        compiled(Genome.parse(individual.genome), generation.params(), generation.vocab_size).digest
        != individual.digest
    ):
        raise StoreError(
            "the stored digest is not that of this genome",
            value=individual.digest[:12],
            place=f"{generation.run}, generation {generation.index}, individual {individual.id}",
            fix="evolve the run again: it was made by another version of the compiler",
        )
    return generation.vocab_size


def bits_of(generation: Generation) -> Bits:
    """How the perplexities of a run are told in bits."""
    return Bits.of_tokens(generation.vocab_size, generation.bytes_per_token)


def same_recipe(comparison: Comparison, generation: Generation) -> bool:
    """Whether a comparison was trained by a run's parameters, but for the steps of a longer training."""

    def without_steps(parameters: dict[str, Any]) -> dict[str, Any]:
        return {**parameters, "training": {**parameters.get("training", {}), "steps": None}}

    if comparison.purpose == "retrain":
        return without_steps(comparison.parameters) == without_steps(generation.parameters)
    return comparison.parameters == generation.parameters
