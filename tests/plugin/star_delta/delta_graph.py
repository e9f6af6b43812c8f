"""The gated delta rule as a graph: token by token, whatever the length of a pass.

Legend: L tokens of this pass, H heads, N state, P channels per head.
"""

from __future__ import annotations

import numpy as np

from star_core.graphs.mixer import GraphMixer, GraphState, Operands, register
from star_core.graphs.writer import GraphWriter
from star_delta.delta_arithmetic import FORGOTTEN
from star_delta.delta_shapes import DELTA


@register(DELTA)
class DeltaGraph(GraphMixer):
    """Decay, correction, read-out."""

    def states(self) -> tuple[GraphState, ...]:
        """One N × P matrix per head."""
        return (GraphState("state", (self.dims.heads, self.shapes["B"].channels, self.shapes["V"].channels)),)

    def write(self, graph: GraphWriter, operands: Operands) -> str:
        """y, (L, H · P)."""
        length, heads = operands.positions.length, self.dims.heads
        C, B, V, f, strength = (self.head_first(graph, operands, role, heads) for role in "CBVAW")
        c, b = (self._of_length_one(graph, x_HLN) for x_HLN in (C, B))
        decay = graph.node("Exp", graph.node("Neg", graph.node("Min", f, graph.constant(FORGOTTEN))))
        beta = graph.node("Sigmoid", strength)
        tokens = [graph.split(x, [1] * length, 1) for x in (c, b, V, decay, beta)]
        state_HNP, outputs = operands.states["state"], []
        for c_H1N, b_H1N, V_H1P, a_H11, beta_H11 in zip(*tokens, strict=True):
            state_HNP = graph.node("Mul", state_HNP, a_H11)
            missing_H1P = graph.node("Sub", V_H1P, graph.node("MatMul", b_H1N, state_HNP))
            b_HN1 = graph.reshape(b_H1N, heads, -1, 1)
            written_HNP = graph.node("Mul", b_HN1, graph.node("Mul", beta_H11, missing_H1P))
            state_HNP = graph.node("Add", state_HNP, written_HNP)
            outputs.append(graph.node("MatMul", c_H1N, state_HNP))
        operands.new["state"] = state_HNP
        y_HLP = graph.node("Concat", *outputs, axis=1) if length > 1 else outputs[0]
        return graph.reshape(graph.node("Transpose", y_HLP, perm=[1, 0, 2]), length, -1)

    def _of_length_one(self, graph: GraphWriter, x_HLN: str) -> str:
        length_HL1 = graph.node("ReduceL2", x_HLN, graph.constant([-1], np.int64), keepdims=1)
        return graph.node("Div", x_HLN, graph.node("Max", length_HL1, graph.constant(1e-6)))
