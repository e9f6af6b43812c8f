"""What goes with a gene: difference of the objectives between candidates with it and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from star_core.analysis.motifs.encoding import Encoding
from star_core.analysis.motifs.occurrences import Motif, motifs_of
from star_core.analysis.run.rank_correlation import LEVEL, RESAMPLES
from star_core.analysis.run.results import Results

ENOUGH = 5
"""Candidates with a gene, and without it, below which a difference is not shown."""
GENES = ("class", "link")
SEED = 12
"""Seed of the resampling."""
HUGE = 1e150
"""Values beyond it are compared as parts of the largest, so that their sums stay finite."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effect:
    """How an objective differs where a gene is present.

    Attributes:
        gene: A LIV class, or a kind of sharing.
        objective: Name.
        holders, others: Candidates with it and without.
        difference: Mean with less mean without, as a share of the mean size of all.
        low, high: Percentile interval of resampled candidates.
    """

    gene: Motif
    objective: str
    holders: int
    others: int
    difference: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def effects(results: Results) -> dict[str, list[Effect]]:
    """Objective → effects of every gene that enough candidates have and enough lack, the best first.

    Only candidates born in the same generation are compared: later ones have other genes and are better for
    many reasons. The difference is the mean of those within generations, each with the weight n₁n₀/(n₁+n₀)
    that n₁ candidates with and n₀ without give it.
    """
    known = [individual for individual in results.individuals.values() if individual.ok]
    if not known:
        return {}
    architectures = [results.candidates[individual.id].architecture for individual in known]
    encoding = Encoding.of(architectures)
    held = motifs_of(encoding, encoding.encode(architectures))
    genes = sorted({gene for motifs in held for gene in motifs if gene.kind in GENES})
    has = np.array([[gene in motifs for gene in genes] for motifs in held], dtype=float)
    born = np.array([individual.born for individual in known])
    weights = _resamplings(born)
    found: dict[str, list[Effect]] = {}
    for name in results.names:
        values = np.array([individual.objectives[name] for individual in known], dtype=float)
        largest = float(abs(values).max())
        if largest > HUGE:
            values = values / largest
        whole = float(np.mean(abs(values)))
        if not whole:
            continue
        differences = _differences(has, values, born, weights) / whole
        counts = has.sum(axis=0).astype(int)
        listed = []
        for column, gene in enumerate(genes):
            holders, others = int(counts[column]), len(known) - int(counts[column])
            drawn = differences[1:, column]
            drawn = drawn[np.isfinite(drawn)]
            if min(holders, others) < ENOUGH or not np.isfinite(differences[0, column]) or not len(drawn):
                continue
            low, high = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
            difference = float(differences[0, column])
            listed.append(Effect(gene, name, holders, others, difference, float(low), float(high)))
        found[name] = sorted(listed, key=lambda effect: (effect.difference, effect.gene))
    return found


def _resamplings(born: npt.NDArray[np.int64]) -> Floats:
    """(1 + resamplings, candidates): how often each is drawn within its generation; at first, once."""
    rng = np.random.default_rng(SEED)
    weights = np.ones((1 + RESAMPLES, len(born)))
    for generation in np.unique(born):
        members = np.flatnonzero(born == generation)
        each = np.full(len(members), 1 / len(members))
        weights[1:, members] = rng.multinomial(len(members), each, size=RESAMPLES)
    return weights


def _differences(has: Floats, values: Floats, born: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """(resamplings, genes): mean difference within generations; NaN where none has both kinds."""
    top, bottom = np.zeros((len(weights), has.shape[1])), np.zeros((len(weights), has.shape[1]))
    centred = values - values.mean()
    for generation in np.unique(born):
        members = born == generation
        drawn, present, value = weights[:, members], has[members], centred[members]
        count, total = drawn.sum(axis=1)[:, None], (drawn @ value)[:, None]
        with_it, sum_with = drawn @ present, drawn @ (present * value[:, None])
        without = count - with_it
        both = with_it * without > 0
        difference = sum_with / np.maximum(with_it, 1) - (total - sum_with) / np.maximum(without, 1)
        weight = np.where(both, with_it * without / count, 0.0)
        top, bottom = top + weight * difference, bottom + weight
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def strongest(found: Sequence[Effect], most: int) -> list[Effect]:
    """The ``most`` largest differences either way, in their order."""
    kept = set(sorted(found, key=lambda effect: (-abs(effect.difference), effect.gene))[:most])
    return [effect for effect in found if effect in kept]
