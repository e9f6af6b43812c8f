"""Sharing groups across recombination: links of a parent survive although group indices are global."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
import numpy.typing as npt

from star_core.genome.drawing import Drawing
from star_core.genome.sharing import NOTHING_SHARED
from star_core.genome.space import SearchSpace


def keep_links(
    space: SearchSpace, child: npt.NDArray[np.int64], sources: Sequence[int]
) -> npt.NDArray[np.int64]:
    """Renames feature-sharing groups of a child so that it shares what its parents shared.

    LIVs that come from one group of one parent stay in one group; LIVs of different groups or parents
    stay apart while there are indices, and are joined only where they fit after that. What then still
    does not fit keeps its index, for the guard rails.

    Args:
        space: The search space.
        child: A genome vector put together from whole LIVs of two valid parents.
        sources: Per LIV the parent it comes from.
    """
    genome = space.layout.decode(child)
    drawn, names = Drawing(space, genome.table), dict[tuple[int, int], int]()
    taken: set[int] = set()
    for liv, source in zip(genome.livs, compress(sources, space.layout.present(child)), strict=True):
        known = liv.feature_strategy in drawn.alphabet.alleles(liv.liv_class, 4)
        if known and liv.feature_strategy != NOTHING_SHARED:
            fitting = drawn.groups(liv)
            wished = names.get((source, liv.feature_group))
            if wished not in fitting:
                free = [group for group in fitting if group not in taken] or list(fitting)
                own = liv.feature_group
                wished = own if own in free or not free else free[0]
            names[source, liv.feature_group] = wished
            taken.add(wished)
            liv = replace(liv, feature_group=wished)
        drawn.append(liv, valid=not any(drawn.problems(len(drawn.livs), liv)))
    return space.layout.encode(drawn.genome())
