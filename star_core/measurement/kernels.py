"""What a runtime makes of a model: the kernels of one step, and how often each runs."""

from __future__ import annotations

from collections.abc import Sequence

from star_core.measurement.inference import Conditions, session_class
from star_core.measurement.side_by_side import Entry
from star_core.objectives.latency import settings


def kernels_of(entries: Sequence[Entry]) -> dict[tuple[int, str], dict[str, int]]:
    """For each entry what its runtime tells, the most frequent first."""
    found = {}
    for entry in entries:
        conditions = Conditions(**settings(entry.params, entry.architecture.vocab_size))
        counted = session_class(conditions).kernels(entry.architecture, conditions)
        found[entry.number, entry.on] = dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))
    return found
