"""Whether motifs rose or fell more than descent and chance alone make them rise and fall.

Tests that take individuals for independent find significance wherever a population descends from few
founders, and sequences worth a look are picked from tens of thousands. Both are met by re-enacting the run
(``inheritance``): how many motifs change as much there, on average, is the number of false finds to expect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from star_core.analysis.motifs.encoding import Genes, Numbers
from star_core.analysis.motifs.inheritance import Inheritance
from star_core.analysis.motifs.occurrences import OF_LIVS, Codebook, Motif

MOST, LEAST = 2000, 200
"""Re-enactments of a small run, and of a large one."""
_LIVS, _LIVS_AT_ONCE = 2_000_000, 100_000
_TINY = 1e-9

Floats = npt.NDArray[np.float64]


def false_discoveries(
    motifs: Sequence[Motif],
    book: Codebook,
    descent: Inheritance,
    founders: Sequence[int],
    last: Sequence[int],
    rng: np.random.Generator,
) -> list[float]:
    """For each motif the share of false finds among all that changed as surely, of any kind.

    That is the false discovery rate of Benjamini and Hochberg (1995), with the number of false finds counted
    in re-enacted runs instead of derived from p-values. What changes is how often a motif occurs per genome.
    Motifs are compared within their group, rises and falls apart, and all of them share one rate.

    Args:
        motifs: The motifs to judge.
        book: The numbers of motifs.
        descent: Descent of the run's individuals.
        founders: Rows of the first population.
        last: Rows of the last population.
        rng: The random numbers of the re-enactments.
    """
    start = {group: _Rates(*rest) for group, *rest in _counted(book, descent.genes[list(founders)][None])}
    end = {group: _Rates(*rest) for group, *rest in _counted(book, descent.genes[list(last)][None])}
    changes = {group: start[group].changes(end[group]) for group in end}
    rises = {group: Tail(change.values()) for group, change in changes.items()}
    falls = {group: Tail(-value for value in change.values()) for group, change in changes.items()}
    livs = len(last) * descent.genes.shape[1]
    replays = min(max(_LIVS // livs, LEAST), MOST)
    at_once = max(1, _LIVS_AT_ONCE // livs)
    for done in range(0, replays, at_once):
        times = min(at_once, replays - done)
        for group, replay, codes, rates in _counted(book, descent.replayed(last, times, rng)):
            before = start[group]
            rises[group].add(rates - before.of(codes))
            falls[group].add(before.rates - before.table(replay, codes, rates, times))
    tails = [*rises.values(), *falls.values()]
    scale = _joint([tail.expected(replays) for tail in tails], [tail.seen for tail in tails])
    judged = []
    for motif in motifs:
        change = changes[motif.group].get(book.code(motif), 0.0)
        tail = (rises if change > 0 else falls)[motif.group]
        expected = tail.expected(replays)[tail.place(abs(change))] if abs(change) > _TINY else np.inf
        judged.append(scale(expected))
    return judged


class Tail:
    """How many motifs of a group changed at least so much, in the run and in its re-enactments.

    Args:
        changes: Changes in the run; those that are not positive belong to the other tail.
    """

    def __init__(self, changes: Iterable[float]) -> None:
        known = np.array([value for value in changes if value > _TINY])
        self.levels, self.seen = np.unique(known, return_counts=True)
        self.met = np.zeros(len(self.levels) + 1)

    def add(self, changes: Floats) -> None:
        """Counts changes of re-enactments."""
        reached = np.searchsorted(self.levels, changes.ravel() + _TINY)
        self.met += np.bincount(reached, minlength=len(self.met))

    def place(self, change: float) -> int:
        """Index of the level that a change in the run is at."""
        return int(np.searchsorted(self.levels, change + _TINY)) - 1

    def expected(self, replays: int) -> Floats:
        """Per level how many motifs reach it in a re-enactment, on average."""
        return np.asarray((1 + np.cumsum(self.met[::-1])[::-1][1:]) / (1 + replays))


def _joint(expected: Sequence[Floats], seen: Sequence[Numbers]) -> Callable[[float], float]:
    """From the false finds expected in one tail to the rate of false finds among all tails together."""
    levels = np.concatenate(expected)
    order = np.argsort(levels)
    levels, counts = levels[order], np.cumsum(np.concatenate(seen)[order])
    tails = sum(len(tail) > 0 for tail in expected)
    rates = np.minimum.accumulate((tails * levels / counts)[::-1])[::-1]

    def rate(value: float) -> float:
        at = int(np.searchsorted(levels, value - _TINY))
        return min(1.0, float(rates[at])) if at < len(rates) else 1.0

    return rate


class _Rates:
    """How often the motifs of one group occur in one population, looked up by code."""

    def __init__(self, _: Numbers, codes: Numbers, rates: Floats) -> None:
        self.codes, self.rates = codes, rates

    def of(self, codes: Numbers) -> Floats:
        """Rates of the motifs with these codes; 0 for a motif that does not occur."""
        at, known = self._places(codes)
        return np.where(known, np.append(self.rates, 0.0)[at], 0.0)

    def table(self, replay: Numbers, codes: Numbers, rates: Floats, times: int) -> Floats:
        """(times, own motifs): rates that they have in other populations."""
        at, known = self._places(codes)
        found = np.zeros((times, len(self.codes)))
        found[replay[known], at[known]] = rates[known]
        return found

    def changes(self, later: _Rates) -> Mapping[int, float]:
        """Code → rate in ``later`` less rate here, for every motif that occurs in either."""
        codes = np.union1d(self.codes, later.codes)
        return dict(zip(codes.tolist(), (later.of(codes) - self.of(codes)).tolist(), strict=True))

    def _places(self, codes: Numbers) -> tuple[Numbers, Numbers]:
        at = np.searchsorted(self.codes, codes)
        return at, np.append(self.codes, -1)[at] == codes


def _counted(book: Codebook, genes: Genes) -> Iterable[tuple[str, Numbers, Numbers, Floats]]:
    """Per group of motifs: population, code and how often it occurs in a genome on average.

    ``genes`` are populations (times, members, LIVs, 5). Of classes and families it is the share of all LIVs.
    """
    times, members = genes.shape[:2]
    for group, rows, codes in book.found(genes.reshape(-1, *genes.shape[2:])):
        replay = rows // members
        size = int(codes.max()) + 1 if len(codes) else 1
        pairs, counts = np.unique(replay * size + codes, return_counts=True)
        livs = np.bincount(replay, minlength=times)
        whole = np.maximum(livs, 1) if group in OF_LIVS else np.full(times, members)
        yield group, pairs // size, pairs % size, counts / whole[pairs // size]
