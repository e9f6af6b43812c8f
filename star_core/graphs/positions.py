"""What a graph computes of the positions of its tokens, once for all layers.

Legend: L tokens of this pass, M tokens that a history has place for, E channels per head, W tokens of a band.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from star_core.graphs.writer import GraphWriter
from star_core.structures.low_rank import ROTARY_BASE, WINDOW

HELD = "held"
"""Name of the size M of histories, in shapes."""


class PositionNodes:
    """Nodes that depend on the input ``position``, tokens before this pass, and on nothing else.

    Args:
        graph: They are added to it when they are first asked for.
        length: Tokens L of the pass, at most ``WINDOW``.
    """

    def __init__(self, graph: GraphWriter, length: int) -> None:
        self.length = length
        self._graph = graph
        self._start = graph.input("position", (1,), np.int64)
        self._turns: dict[int, tuple[str, str]] = {}
        self._masks: dict[tuple[bool, bool], str] = {}
        self._sizes: str | None = None

    @cached_property
    def _steps(self) -> str:
        """Positions as real numbers, (L, 1)."""
        graph = self._graph
        start = graph.node("Cast", self._start, to=1)
        return graph.node("Add", start, graph.constant(np.arange(self.length)[:, None]))

    @cached_property
    def counts(self) -> str:
        """Tokens that each token may read, itself included, (L, 1)."""
        return self._graph.node("Add", self._steps, self._graph.constant([1.0]))

    @cached_property
    def banded_counts(self) -> str:
        """Those within its band, (L, 1)."""
        return self._graph.node("Min", self.counts, self._graph.constant([float(WINDOW)]))

    def rotate(self, x: str, heads: int, channels: int) -> str:
        """Turns neighbouring channels by their position, as ``star_core/livs/rotary.py`` does.

        Args:
            x: L tokens of H heads of E channels, in any shape.
            heads: H.
            channels: E.

        Returns:
            (1, L, H · E).
        """
        graph, pairs = self._graph, channels // 2
        if channels not in self._turns:
            rates = ROTARY_BASE ** (-np.arange(pairs, dtype=np.float32) / np.float32(pairs))
            angles_LF = graph.node("Mul", self._steps, graph.constant(rates))
            angles_1LF = graph.node("Unsqueeze", angles_LF, graph.constant([0], np.int64))
            self._turns[channels] = graph.node("Cos", angles_1LF), graph.node("Sin", angles_1LF)
        x_1LS = graph.reshape(x, 1, self.length, heads * channels)
        turns = self._turns[channels]
        return graph.node("RotaryEmbedding", x_1LS, *turns, interleaved=1, num_heads=heads)

    def sizes(self, keys_GEM: str, banded: bool) -> str:
        """[M, L]: what scores are split into."""
        graph = self._graph
        if banded:
            return graph.constant([WINDOW - 1, self.length], np.int64)
        if self._sizes is None:
            own = graph.constant([self.length], np.int64)
            self._sizes = graph.node("Concat", self._places(keys_GEM), own, axis=0)
        return self._sizes

    def _places(self, keys_GEM: str) -> str:
        """M, which all histories have in common, (1,)."""
        return self._graph.node("Shape", keys_GEM, start=2, end=3)

    def unread_before(self, keys_GEM: str, banded: bool, softmax: bool) -> str:
        """What keeps scores of the history in order: M, or L × M of a band, to be added or multiplied.

        Args:
            keys_GEM: Any history.
            banded: Whether a token reads its band only; its history has W - 1 places then.
            softmax: Whether -∞ or 0 is added (else 0 or 1 is multiplied) where nothing is read.
        """
        if (banded, softmax) not in self._masks:
            graph = self._graph
            read = self._read_of_band() if banded else self._read_of_all(keys_GEM)
            values = (0.0, -np.inf) if softmax else (1.0, 0.0)
            self._masks[banded, softmax] = graph.node("Where", read, *map(graph.constant, values))
        return self._masks[banded, softmax]

    def unread_within(self, softmax: bool) -> str:
        """The same for scores of the pass itself, L × L: no token reads a later one."""
        unread, read = (-np.inf, 0.0) if softmax else (0.0, 1.0)
        mask_LL = np.where(np.tri(self.length, dtype=bool), read, unread)
        return self._graph.constant(mask_LL)

    def _read_of_all(self, keys_GEM: str) -> str:
        """Whether a place of a history is filled."""
        graph = self._graph
        size = graph.node("Squeeze", self._places(keys_GEM))
        zero, one = (graph.constant(value, np.int64) for value in (0, 1))
        return graph.node("Less", graph.node("Range", zero, size, one), self._start)

    def _read_of_band(self) -> str:
        """Whether a place holds a token that is read: place p holds the last of p modulo W - 1."""
        graph = self._graph
        places_M = np.arange(WINDOW - 1)
        last = graph.node("Sub", self._start, graph.constant([1], np.int64))
        age_M = graph.node(
            "Mod",
            graph.node("Sub", last, graph.constant(places_M, np.int64)),
            graph.constant([WINDOW - 1], np.int64),
        )
        token_M = graph.node("Sub", last, age_M)
        first_L1 = graph.constant(np.arange(self.length)[:, None] - WINDOW + 1, np.int64)
        begin_L1 = graph.node(
            "Max", graph.node("Add", self._start, first_L1), graph.constant([[0]], np.int64)
        )
        return graph.node("GreaterOrEqual", token_M, begin_L1)
