"""Sequentially semi-separable token mixing as a graph: a decaying state per head.

Legend: L tokens of this pass, H heads, N state, P channels per head.
"""

from __future__ import annotations

import math

import numpy as np

from star_core.architecture import FeatureGroup
from star_core.graphs.mixer import GraphMixer, GraphState, Operands, register
from star_core.graphs.writer import GraphWriter
from star_core.structures.semi_separable import FORGOTTEN, SEMI_SEPARABLE


@register(SEMI_SEPARABLE)
class SemiSeparableGraph(GraphMixer):
    """One update of the state for a token; the quadratic form with decays for more."""

    def factor(self, group: FeatureGroup) -> float:
        """The read-out is scaled by 1/√N."""
        return 1 / math.sqrt(self.shapes["C"].channels) if group.role == "C" else 1.0

    def states(self) -> tuple[GraphState, ...]:
        """One N × P matrix per head."""
        return (GraphState("state", (self.dims.heads, self.shapes["B"].channels, self.shapes["V"].channels)),)

    def write(self, graph: GraphWriter, operands: Operands) -> str:
        """y, (L, H · P)."""
        length = operands.positions.length
        C_HLN, B_HLN, V_HLP, f_HL1 = (
            self.head_first(graph, operands, role, self.dims.heads) for role in "CBVA"
        )
        state_HNP = operands.states["state"]
        rate_HL1 = graph.node("Neg", graph.node("Min", f_HL1, graph.constant(FORGOTTEN)))
        fV_HLP = graph.node("Mul", f_HL1, V_HLP)
        if length == 1:
            B_HN1 = graph.reshape(B_HLN, self.dims.heads, -1, 1)
            written_HNP = graph.node("Mul", B_HN1, fV_HLP)
            kept_HNP = graph.node("Mul", state_HNP, graph.node("Exp", rate_HL1))
            operands.new["state"] = new_HNP = graph.node("Add", kept_HNP, written_HNP)
            return graph.reshape(graph.node("MatMul", C_HLN, new_HNP), 1, -1)
        total_HL1 = graph.node("CumSum", rate_HL1, graph.constant(1, np.int64))
        total_H1L = graph.reshape(total_HL1, self.dims.heads, 1, length)
        later_LL = graph.constant(np.where(np.tri(length, dtype=bool), 0.0, -np.inf))
        lag_HLL = graph.node("Add", graph.node("Sub", total_HL1, total_H1L), later_LL)
        B_HNL = graph.node("Transpose", B_HLN, perm=[0, 2, 1])
        T_HLL = graph.node("Mul", graph.node("MatMul", C_HLN, B_HNL), graph.node("Exp", lag_HLL))
        carried_HLN = graph.node("Mul", C_HLN, graph.node("Exp", total_HL1))
        y_HLP = graph.node(
            "Add", graph.node("MatMul", T_HLL, fV_HLP), graph.node("MatMul", carried_HLN, state_HNP)
        )
        end_H11 = graph.slice(total_HL1, length - 1, length, 1)
        left_H1L = graph.node("Exp", graph.node("Sub", end_H11, total_H1L))
        written_HNP = graph.node("MatMul", graph.node("Mul", B_HNL, left_H1L), fV_HLP)
        kept_HNP = graph.node("Mul", state_HNP, graph.node("Exp", end_H11))
        operands.new["state"] = graph.node("Add", kept_HNP, written_HNP)
        return graph.reshape(graph.node("Transpose", y_HLP, perm=[1, 0, 2]), length, -1)
