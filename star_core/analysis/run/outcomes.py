"""What became of a run's candidates: how their trainings ended, and what they cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from star_core.errors import StorageAway, StoreError
from star_core.evaluation import STATUSES, Evaluation
from star_core.genome.class_names import name_pattern
from star_core.population.individual import Individual
from star_core.storage.evaluations import EvaluationStore

STOPPED = "stopped"
"""Status of a candidate that successive halving did not train to the end: a result, not a failure."""


INFEASIBLE = "infeasible"
"""Status of a candidate that was not trained, since what is known without that breaks a limit."""


def statuses(individuals: Iterable[Individual]) -> dict[str, int]:
    """Status → candidates in a fixed order, zeros included; ``stopped`` and unknown ones only if met."""
    counted = Counter[str](individual.status for individual in individuals)
    others = [status for status in (STOPPED, *sorted(counted)) if counted[status]]
    return {status: counted[status] for status in dict.fromkeys(("ok", *others, *STATUSES))}


def has_failed(individual: Individual) -> bool:
    """Whether its training failed; one that was stopped early, or not begun, did not."""
    return individual.status not in ("ok", STOPPED, INFEASIBLE)


def reason_of(individual: Individual, found: Mapping[str, Evaluation]) -> str:
    """Why it failed, or was not trained, as its file or its evaluation (by key) says; empty: neither does."""
    if individual.failure is not None:
        return individual.failure
    return found[individual.key].detail if individual.key in found else ""


def general_rule(rule: str) -> str:
    """A rule without the classes and numbers of the single case, so that equal causes add up."""
    named = name_pattern().sub("\0", rule)
    general = re.sub(r"\b(?!1 to\b)\d+\b", "n", named)
    return general.replace("\0", "a class", 1).replace("\0", "another")


def evaluations(keys: Sequence[str], store: EvaluationStore | None) -> dict[str, Evaluation]:
    """The stored evaluations among ``keys``; what is missing or unreadable is left out.

    Storage that is away is waited for once, not for each of them.
    """
    found: dict[str, Evaluation] = {}
    for key in keys if store is not None else ():
        try:
            evaluation = store.get(key) if store is not None else None
        except StorageAway:
            break
        except StoreError:
            continue
        if evaluation is not None:
            found[key] = evaluation
    return found


def total_seconds(found: Iterable[Evaluation]) -> float | None:
    """Wall time of all evaluations together; ``None`` if none states any."""
    known = [evaluation.seconds["total"] for evaluation in found if "total" in evaluation.seconds]
    return sum(known) if known else None
