"""Diagonal token mixing as a graph: a gate times a value."""

from __future__ import annotations

from star_core.graphs.mixer import GraphMixer, Operands, register
from star_core.graphs.writer import GraphWriter
from star_core.structures.diagonal import DIAGONAL


@register(DIAGONAL)
class DiagonalGraph(GraphMixer):
    """y_i = σ(C_i) · V_i."""

    def write(self, graph: GraphWriter, operands: Operands) -> str:
        """The product, token by token."""
        gate = graph.nonlinearity(self.operator.nonlinearity, operands.features["C"])
        return graph.node("Mul", gate, operands.features["V"])
