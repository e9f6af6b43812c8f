"""What becomes of a child that crossover and mutation left invalid (``evolution.repair``).

``guard_rails`` re-samples its invalid positions (arXiv 2411.17800, §4). The others are for measuring what
that is worth: ``resample`` throws the child away and mates again, ``reject`` leaves its place empty.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from star_core.evolution.base import Problem
from star_core.genome.backbone import Genome
from star_core.population.individual import Repair

Mended = tuple[Genome, tuple[Repair, ...]]


def mend(problem: Problem, child: npt.NDArray[np.int64], rng: np.random.Generator) -> Mended | None:
    """A valid genome and what was repaired; ``None``: the child is invalid and is not to be repaired."""
    genome = problem.space.layout.decode(child)
    if problem.watch is not None:
        problem.watch(genome)
    if problem.params.evolution.repair != "guard_rails":
        return (genome, ()) if problem.space.is_valid(genome) else None
    genome, changes = problem.space.repair(genome, rng)
    return genome, tuple(Repair(position=c.position, old=c.old, new=c.new, rule=c.rule) for c in changes)
