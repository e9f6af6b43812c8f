"""Everything known about a run, joined: generations, architectures, baselines, retraining, evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from star_core.analysis import lineage, outcomes, pareto
from star_core.architecture import Architecture
from star_core.config import Params
from star_core.errors import StoreError
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.genome.backbone import Genome
from star_core.genome.baselines import baseline
from star_core.population.comparison import Comparison, Entry, comparison_path, read_comparison
from star_core.population.generation import Generation, stored_generations
from star_core.population.individual import Individual
from star_core.population.store import EvaluationStore

TRANSFORMER = "transformer++"
BYTES = 256


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

    def value(self, name: str, cache_length: int) -> float | None:
        """An objective; parameters and cache are known from the architecture in any case."""
        if name == "parameters":
            return float(self.architecture.num_parameters)
        if name == "cache_bytes":
            return float(self.architecture.cache_bytes(cache_length))
        return self.objectives.get(name) if self.ok else None


@dataclass(frozen=True)
class Results:
    """A run as the report reads it.

    Attributes:
        generations: From the founders on; at least one.
        params: The experiment.
        vocab_size: Of the corpus (256: bytes).
        baselines, retrained: By one recipe each; empty if they were not trained.
        evaluations: What the store holds of them, by key.
        notes: What had to be left out, and why.
    """

    generations: tuple[Generation, ...]
    params: Params
    vocab_size: int
    baselines: tuple[Candidate, ...]
    retrained: tuple[Candidate, ...]
    evaluations: Mapping[str, Evaluation]
    notes: tuple[str, ...]

    @classmethod
    def load(cls, run: str, root: str | Path = "data", store: EvaluationStore | None = None) -> Results:
        """Reads a run.

        Raises:
            StoreError: There is no such run, or one of its files is unusable.
        """
        generations = tuple(stored_generations(run, root))
        if not generations:
            raise StoreError(
                "no generation of this run is stored",
                value=run,
                place=str(Path(root) / "populations"),
                fix=f"run: star evolve --run {run}",
            )
        params = generations[0].params()
        vocab_size = vocab_size_of(generations[0])
        compared: dict[str, tuple[Candidate, ...]] = {"baselines": (), "retrain": ()}
        notes = []
        for purpose in compared:
            path = comparison_path(run, purpose, root)
            if not path.exists():
                continue
            comparison = read_comparison(path, run, purpose)
            if comparison.data_digest != generations[0].data_digest:
                notes.append(f"The stored {purpose} results belong to another corpus and are left out.")
                continue
            if not same_recipe(comparison, generations[0]):
                notes.append(f"The stored {purpose} results were made by other parameters and are left out.")
                continue
            if comparison.generation not in (None, generations[-1].digest):
                notes.append(
                    f"The {purpose} results are of an earlier generation's front; "
                    f"`star retrain {run}` makes them anew."
                )
            compared[purpose] = candidates_of(comparison, params, vocab_size)
        keys = [one.key for generation in generations for one in generation.born]
        keys += [one.key for group in compared.values() for one in group]
        return cls(
            generations=generations,
            params=params,
            vocab_size=vocab_size,
            baselines=compared["baselines"],
            retrained=compared["retrain"],
            evaluations=outcomes.evaluations(list(dict.fromkeys(keys)), store),
            notes=tuple(notes),
        )

    @property
    def run(self) -> str:
        """Name of the run."""
        return self.generations[0].run

    @property
    def last(self) -> Generation:
        """The newest generation."""
        return self.generations[-1]

    @property
    def names(self) -> tuple[str, ...]:
        """The run's objectives."""
        return self.params.objectives.selected

    @property
    def cache_length(self) -> int:
        """Tokens held where caches are stated."""
        return self.params.objectives.cache_length

    @property
    def quality(self) -> str:
        """The objective that candidates are ordered by: perplexity, if it was measured at all."""
        measured = (one for one in self.individuals.values() if one.ok)
        return "perplexity" if any("perplexity" in one.objectives for one in measured) else self.names[0]

    @cached_property
    def individuals(self) -> dict[str, Individual]:
        """Everyone ever evaluated, by name."""
        return lineage.individuals(self.generations)

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """The same with their architectures."""
        return {one.id: candidate_of(one, self.params, self.vocab_size) for one in self.individuals.values()}

    @cached_property
    def frame(self) -> pareto.Normalisation:
        """How hypervolume is measured in this run."""
        return pareto.Normalisation.of_founders(self.generations[0].born, self.names)

    @cached_property
    def progress(self) -> list[pareto.Progress]:
        """The run's course."""
        return pareto.progress(self.generations, self.names, self.frame)

    @cached_property
    def front(self) -> tuple[Candidate, ...]:
        """The last population's front, best quality first."""
        return self._ordered(pareto.front(self.last.population, self.names))

    @cached_property
    def shown(self) -> tuple[Candidate, ...]:
        """The front; with one objective, where that is one individual, the whole last population."""
        if len(self.names) > 1:
            return self.front
        feasible = (one for one in self.last.population if one.ok and one.violation == 0)
        return self._ordered(feasible)

    def _ordered(self, individuals: Iterable[Individual]) -> tuple[Candidate, ...]:
        found = [self.candidates[one.id] for one in individuals]
        return tuple(sorted(found, key=lambda one: (self.value(one, self.quality) or math.inf, one.name)))

    @property
    def best(self) -> Candidate | None:
        """The front's member of best quality; ``None`` if nothing feasible was trained."""
        return self.front[0] if self.front else None

    @cached_property
    def transformer(self) -> Candidate:
        """Transformer++ at the run's size: trained, if the baselines were, else its sizes alone."""
        for one in self.baselines:
            if one.name == TRANSFORMER:
                return one
        genome = baseline(TRANSFORMER, self.params.space.depth)
        return Candidate(TRANSFORMER, compiled(genome, self.params, self.vocab_size), False, {}, 0, "")

    def feasible(self, candidate: Candidate) -> bool:
        """Whether it was trained and meets the run's constraints."""
        values = ((self.value(candidate, n), most) for n, most in self.params.objectives.constraints.items())
        return candidate.ok and all(value is not None and value <= most for value, most in values)

    def value(self, candidate: Candidate, name: str) -> float | None:
        """An objective of a candidate, its cache at the run's stated length."""
        return candidate.value(name, self.cache_length)


def candidate_of(one: Individual, params: Params, vocab_size: int) -> Candidate:
    """An individual with its architecture."""
    architecture = compiled(Genome.parse(one.genome), params, vocab_size)
    return Candidate(one.id, architecture, one.ok, one.objectives, one.cost.tokens, one.key)


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
    one = generation.population[0]
    if compiled(Genome.parse(one.genome), generation.params(), generation.vocab_size).digest != one.digest:
        raise StoreError(
            "the stored digest is not that of this genome",
            value=one.digest[:12],
            place=f"{generation.run}, generation {generation.index}, individual {one.id}",
            fix="evolve the run again: it was made by another version of the compiler",
        )
    return generation.vocab_size


def same_recipe(comparison: Comparison, generation: Generation) -> bool:
    """Whether a comparison was trained by a run's parameters, but for the steps of a longer training."""

    def without_steps(parameters: dict[str, Any]) -> dict[str, Any]:
        return {**parameters, "training": {**parameters.get("training", {}), "steps": None}}

    if comparison.purpose == "retrain":
        return without_steps(comparison.parameters) == without_steps(generation.parameters)
    return comparison.parameters == generation.parameters
