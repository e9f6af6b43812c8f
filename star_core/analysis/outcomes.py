"""What became of a run's candidates: failures, repairs, and what the evaluations cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from star_core.errors import StoreError
from star_core.evaluation import STATUSES, Evaluation
from star_core.genome.tables import OPERATORS
from star_core.population.individual import Individual
from star_core.population.store import EvaluationStore

_CLASS = re.compile(
    "|".join(sorted((re.escape(row[0]) for row in OPERATORS.values()), key=len, reverse=True))
)


def statuses(individuals: Iterable[Individual]) -> dict[str, int]:
    """Status → candidates, all statuses in a fixed order, zeros included."""
    counted = Counter(one.status for one in individuals)
    return {status: counted[status] for status in STATUSES}


@dataclass(frozen=True)
class Repairs:
    """How often variation broke a genome and the guard rails mended it.

    Attributes:
        offspring: Genomes made by variation.
        repaired: How many of those had at least one invalid position.
        rules: Broken rule, in general form → (repaired positions, offspring concerned), most first.
    """

    offspring: int
    repaired: int
    rules: Mapping[str, tuple[int, int]]

    @property
    def share(self) -> float | None:
        """Share of offspring that needed repair; ``None`` without offspring."""
        return self.repaired / self.offspring if self.offspring else None

    @classmethod
    def of(cls, individuals: Iterable[Individual]) -> Repairs:
        """Counts over everything that variation made."""
        varied = [one for one in individuals if one.origin.operator == "variation"]
        positions: Counter[str] = Counter()
        concerned: Counter[str] = Counter()
        for one in varied:
            rules = [general_rule(repair.rule) for repair in one.origin.repairs]
            positions.update(rules)
            concerned.update(set(rules))
        order = sorted(positions, key=lambda rule: (-positions[rule], rule))
        return cls(
            offspring=len(varied),
            repaired=sum(bool(one.origin.repairs) for one in varied),
            rules={rule: (positions[rule], concerned[rule]) for rule in order},
        )


def general_rule(rule: str) -> str:
    """A rule without the classes and numbers of the single case, so that equal causes add up."""
    named = _CLASS.sub("\0", rule)
    general = re.sub(r"\b(?!1 to\b)\d+\b", "n", named)
    return general.replace("\0", "a class", 1).replace("\0", "another")


def evaluations(keys: Sequence[str], store: EvaluationStore | None) -> dict[str, Evaluation]:
    """The stored evaluations among ``keys``; what is missing or unreadable is left out."""
    found: dict[str, Evaluation] = {}
    for key in keys if store is not None else ():
        try:
            evaluation = store.get(key) if store is not None else None
        except StoreError:
            continue
        if evaluation is not None:
            found[key] = evaluation
    return found


def total_seconds(found: Iterable[Evaluation]) -> float | None:
    """Wall time of all evaluations together; ``None`` if none states any."""
    known = [one.seconds["total"] for one in found if "total" in one.seconds]
    return sum(known) if known else None


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's τ-b of two rankings; ``None`` below three pairs or if one is constant."""
    if len(first) < 3:
        return None
    agree, left, right = 0, 0, 0
    for i in range(len(first)):
        for j in range(i):
            a = (first[i] > first[j]) - (first[i] < first[j])
            b = (second[i] > second[j]) - (second[i] < second[j])
            agree, left, right = agree + a * b, left + a * a, right + b * b
    return agree / (left * right) ** 0.5 if left and right else None
