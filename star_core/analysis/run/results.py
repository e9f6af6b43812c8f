"""Everything known about a run, joined: generations, architectures, baselines, retraining, evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from star_core.analysis.run import lineage, outcomes, pareto
from star_core.analysis.run.candidates import Candidate, bits_of, candidate_of, compiled, vocab_size_of
from star_core.analysis.run.comparisons import Comparisons, Scaled
from star_core.config import Params
from star_core.errors import StoreError
from star_core.evaluation import Evaluation
from star_core.evolution.base import Problem
from star_core.genome.baselines import baseline
from star_core.genome.space import SearchSpace
from star_core.objectives.perplexity import Bits
from star_core.population.generation import Generation, stored_generations
from star_core.population.individual import Individual
from star_core.storage.evaluations import EvaluationStore

TRANSFORMER = "transformer++"


@dataclass(frozen=True)
class Results:
    """A run as the report reads it.

    Attributes:
        generations: From the founders on; at least one.
        params: The experiment.
        vocab_size: Of the corpus.
        baselines, retrained: By one recipe each; empty if they were not trained.
        scaled: Candidates trained at other sizes.
        evaluations: Those of all these candidates that the store holds, by key.
        notes: What had to be left out, and why.
    """

    generations: tuple[Generation, ...]
    params: Params
    vocab_size: int
    baselines: tuple[Candidate, ...]
    retrained: tuple[Candidate, ...]
    scaled: tuple[Scaled, ...]
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
                fix=f"run: star evolve {run}",
            )
        params = generations[0].params()
        vocab_size = vocab_size_of(generations[0])
        beside = Comparisons.load(generations, vocab_size, root)
        keys = [individual.key for generation in generations for individual in generation.born]
        larger = (candidate for scaled in beside.scaled for candidate in scaled.candidates)
        keys += [candidate.key for candidate in (*beside.baselines, *beside.retrained, *larger)]
        return cls(
            generations=generations,
            params=params,
            vocab_size=vocab_size,
            baselines=beside.baselines,
            retrained=beside.retrained,
            scaled=beside.scaled,
            evaluations=outcomes.evaluations(list(dict.fromkeys(keys)), store),
            notes=beside.notes,
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

    @cached_property
    def space(self) -> SearchSpace:
        """What the run's genomes may say."""
        return Problem(self.params, self.vocab_size).space

    @property
    def bits(self) -> Bits:
        """How perplexities are told in bits."""
        return bits_of(self.last)

    @property
    def quality(self) -> str:
        """The objective that candidates are ordered by: perplexity, if it was measured at all."""
        measured = (individual for individual in self.individuals.values() if individual.ok)
        return (
            "perplexity"
            if any("perplexity" in individual.objectives for individual in measured)
            else self.names[0]
        )

    @cached_property
    def individuals(self) -> dict[str, Individual]:
        """Everyone ever evaluated, by name."""
        return lineage.individuals(self.generations)

    @cached_property
    def candidates(self) -> dict[str, Candidate]:
        """All individuals with their architectures, by name."""
        return {
            individual.id: candidate_of(individual, self.params, self.vocab_size)
            for individual in self.individuals.values()
        }

    @cached_property
    def frame(self) -> pareto.Normalisation:
        """How hypervolume is measured in this run."""
        return pareto.Normalisation.of_runs([self.generations], self.names)

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
        feasible = (
            individual for individual in self.last.population if individual.ok and individual.violation == 0
        )
        return self._ordered(feasible)

    def _ordered(self, individuals: Iterable[Individual]) -> tuple[Candidate, ...]:
        found = [self.candidates[individual.id] for individual in individuals]
        return tuple(
            sorted(
                found,
                key=lambda candidate: (
                    math.inf if (value := self.value(candidate, self.quality)) is None else value,
                    candidate.name,
                ),
            )
        )

    @property
    def best(self) -> Candidate | None:
        """The front's member of best quality; ``None`` if nothing feasible was trained."""
        return self.front[0] if self.front else None

    @cached_property
    def transformer(self) -> Candidate:
        """Transformer++ at the run's size: trained, if the baselines were, else its sizes alone."""
        for candidate in self.baselines:
            if candidate.name == TRANSFORMER:
                return candidate
        genome = baseline(TRANSFORMER, self.params.space.depth)
        return Candidate(TRANSFORMER, compiled(genome, self.params, self.vocab_size), False, {}, 0, "")

    def feasible(self, candidate: Candidate) -> bool:
        """Whether it was trained and meets the run's constraints."""
        values = ((self.value(candidate, n), most) for n, most in self.params.objectives.constraints.items())
        return candidate.ok and all(value is not None and value <= most for value, most in values)

    def value(self, candidate: Candidate, name: str) -> float | None:
        """An objective of a candidate, its cache at the run's stated length."""
        return candidate.value(name, self.params.objectives)
