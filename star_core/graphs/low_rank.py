"""Low-rank token mixing as a graph: attention over a history, or linear attention from a state.

Keys are kept as (G, E, M) and values as (G, M, P), so that products read them where they lie. Scores of
tokens before the pass and of its own are apart, so that no history is copied.

Legend: L tokens of this pass, M places of a history, H heads, G heads of keys, J heads of values, E channels
of keys, P of values, N states.
"""

from __future__ import annotations

import math

import numpy as np

from star_core.architecture import FeatureGroup, Layer
from star_core.graphs.mixer import GraphMixer, GraphState, Operands, register
from star_core.graphs.positions import HELD
from star_core.graphs.writer import GraphWriter
from star_core.structures.low_rank import LOW_RANK, WINDOW, is_recurrent
from star_core.structures.shapes import Dimensions
from star_core.vocabulary.tables import Nonlinearity, Sparsity


@register(LOW_RANK)
class LowRankGraph(GraphMixer):
    """Attention and linear attention."""

    turned = ("C", "B")

    def __init__(self, layer: Layer, dims: Dimensions) -> None:
        super().__init__(layer, dims)
        self.softmax = self.operator.nonlinearity is Nonlinearity.SOFTMAX
        self.banded = self.operator.sparsity is Sparsity.BANDED
        self.recurrent = is_recurrent(self.operator)
        self.keys, self.channels = self.shapes["B"].channels, self.shapes["V"].channels
        self.heads = self.shapes["B"].heads * self.groups["B"].repeat
        self.held = math.lcm(self.shapes["B"].heads, self.shapes["V"].heads)

    def factor(self, group: FeatureGroup) -> float:
        """Queries carry the scale of the scores."""
        return 1 / math.sqrt(self.keys) if group.role == "C" else 1.0

    def states(self) -> tuple[GraphState, ...]:
        """A matrix per head, or histories."""
        if self.recurrent:
            return (GraphState("state", (self.held, self.keys, self.channels)),)
        key_heads, value_heads = self.shapes["B"].heads, self.shapes["V"].heads
        places = WINDOW - 1 if self.banded else HELD
        names = ("keys", "values") if self.banded else ("B", "V")
        return (
            GraphState(names[0], (key_heads, self.keys, places), grows=2),
            GraphState(names[1], (value_heads, places, self.channels), grows=1),
        )

    def write(self, graph: GraphWriter, operands: Operands) -> str:
        """T V, (L, H · P)."""
        y = self._linear(graph, operands) if self.recurrent else self._attend(graph, operands)
        length, positions = operands.positions.length, operands.positions
        if length > 1:
            y_HLP = graph.reshape(y, self.heads, length, self.channels)
            y = graph.node("Transpose", y_HLP, perm=[1, 0, 2])
        y = graph.reshape(y, length, self.heads * self.channels)
        if self.softmax:
            return y
        return graph.node("Div", y, positions.banded_counts if self.banded else positions.counts)

    def _attend(self, graph: GraphWriter, operands: Operands) -> str:
        length, positions = operands.positions.length, operands.positions
        key_heads, value_heads = self.shapes["B"].heads, self.shapes["V"].heads
        C = self._queries(graph, operands, key_heads)
        V_JLP = self.head_first(graph, operands, "V", value_heads)
        B_GEL = self.head_last(graph, operands, "B")
        names = [state.name for state in self.states()]
        old_B, old_V = (operands.states[name] for name in names)
        operands.new.update(zip(names, (B_GEL, V_JLP), strict=True))
        before = graph.node("MatMul", C, old_B)
        within = graph.node("MatMul", C, B_GEL)
        if length > 1:
            before, within = (graph.reshape(scores, self.heads, length, -1) for scores in (before, within))
        unread_before = positions.unread_before(old_B, self.banded, self.softmax)
        if self.softmax:
            before = graph.node("Add", before, unread_before)
            within = within if length == 1 else graph.node("Add", within, positions.unread_within(True))
            scores = graph.node("Softmax", graph.node("Concat", before, within, axis=-1), axis=-1)
            before, within = graph.nodes(
                "Split", scores, positions.sizes(old_B, self.banded), count=2, axis=-1
            )
        else:
            before, within = (graph.nonlinearity(self.operator.nonlinearity, x) for x in (before, within))
            before = graph.node("Mul", before, unread_before)
            within = within if length == 1 else graph.node("Mul", within, positions.unread_within(False))
        before, within = (
            graph.reshape(T, value_heads, self.heads // value_heads * length, -1)
            if key_heads != value_heads or length > 1
            else T
            for T in (before, within)
        )
        y_old = graph.node("MatMul", before, old_V)
        y_new = graph.node("MatMul", within, V_JLP)
        return graph.node("Add", y_old, y_new)

    def _linear(self, graph: GraphWriter, operands: Operands) -> str:
        length = operands.positions.length
        readers = self.heads // self.held
        C = self._queries(graph, operands, self.held)
        B_NLE, V_NLP = (self.head_first(graph, operands, role, self.held) for role in "BV")
        state_NEP = operands.states["state"]
        B_NEL = (
            graph.reshape(B_NLE, self.held, self.keys, 1)
            if length == 1
            else graph.node("Transpose", B_NLE, perm=[0, 2, 1])
        )
        written = graph.node("Mul" if length == 1 else "MatMul", B_NEL, V_NLP)
        operands.new["state"] = new_NEP = graph.node("Add", state_NEP, written)
        if length == 1:
            return graph.node("MatMul", C, new_NEP)
        mask_QL = graph.constant(np.tile(np.tri(length), (readers, 1)))
        T = graph.node("Mul", graph.node("MatMul", C, B_NEL), mask_QL)
        return graph.node("Add", graph.node("MatMul", T, V_NLP), graph.node("MatMul", C, state_NEP))

    def _queries(self, graph: GraphWriter, operands: Operands, groups: int) -> str:
        """(groups, heads of one · L, E): all that read one key, or one state, together."""
        if operands.positions.length == 1 and self.groups["C"].repeat == 1:
            return graph.reshape(operands.features["C"], groups, -1, self.keys)
        C_HLE = self.head_first(graph, operands, "C", self.heads)
        return graph.reshape(C_HLE, groups, -1, self.keys)
