"""Scaled Toeplitz token mixing as a graph: a gated convolution with taps, or with modes in real arithmetic.

Legend: L tokens of this pass, D channels, M modes, K taps, Q tokens of a chunk, J = L / Q chunks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from star_core.graphs.mixer import GraphMixer, GraphState, Operands, register
from star_core.graphs.short_filter import short_filter
from star_core.graphs.writer import GraphWriter
from star_core.structures.toeplitz import TOEPLITZ
from star_core.vocabulary.tables import Sparsity

CHUNK = 16
"""Tokens Q whose outputs are one product with a Q × Q matrix per channel."""


@register(TOEPLITZ)
class ToeplitzGraph(GraphMixer):
    """y = C · (K ∗ (B · V))."""

    @property
    def _explicit(self) -> bool:
        return self.groups["K"].sparsity is Sparsity.BANDED

    def states(self) -> tuple[GraphState, ...]:
        """The last inputs, or real and imaginary part of each mode."""
        taps = self.shapes["K"].channels
        if self._explicit:
            return (GraphState("window", (taps - 1, self.dims.width)),)
        return (GraphState("modes", (2, taps, self.dims.width)),)

    def write(self, graph: GraphWriter, operands: Operands) -> str:
        """y, (L, D)."""
        u_LD = graph.node("Mul", operands.features["B"], operands.features["V"])
        filter_, length = operands.filters["K"], operands.positions.length
        if self._explicit:
            y_LD, new = short_filter(
                graph, u_LD, operands.states["window"], filter_.name, filter_.weights["filter"], length
            )
            operands.new["window"] = new
        else:
            modes = _Modes.of(filter_.weights)
            write = _one_token if length == 1 else _chunks
            y_LD, operands.new["modes"] = write(graph, u_LD, operands.states["modes"], modes, length)
        return graph.node("Mul", operands.features["C"], y_LD)


@dataclass(frozen=True, slots=True)
class _Modes:
    """A filter K_t = Re Σ c exp(p t): residues c and logarithms p of its poles, both (D, M)."""

    residue: np.ndarray
    log_pole: np.ndarray

    @classmethod
    def of(cls, weights: Mapping[str, np.ndarray]) -> _Modes:
        """In double precision, from the weights of a filter group; as ``star_core.livs.long_filter``."""
        real, imaginary, decay, frequency = (
            weights[name].astype(np.float64) for name in ("real", "imaginary", "decay", "frequency")
        )
        return cls(real + 1j * imaginary, -np.logaddexp(0, decay) + 1j * frequency)

    def powers(self, steps: np.ndarray) -> np.ndarray:
        """exp(p t) for some t, (D, M, …)."""
        made: np.ndarray = np.exp(self.log_pole[..., None] * steps)
        return made


def _one_token(graph: GraphWriter, u_1D: str, state_2MD: str, modes: _Modes, length: int) -> tuple[str, str]:
    """S ← exp(p) s + u, y = Re Σ c s."""
    pole_MD = modes.powers(np.ones(1))[..., 0].T
    written_2MD = graph.node("Mul", u_1D, graph.constant([[[1.0]], [[0.0]]]))
    new_2MD = graph.node("Add", _turned(graph, state_2MD, pole_MD), written_2MD)
    residue_2MD = np.stack([modes.residue.real.T, -modes.residue.imag.T])
    read_2MD = graph.node("Mul", new_2MD, graph.constant(residue_2MD))
    y_11D = graph.node("ReduceSum", read_2MD, graph.constant([0, 1], np.int64), keepdims=1)
    return graph.reshape(y_11D, 1, -1), new_2MD


def _chunks(graph: GraphWriter, u_LD: str, state_2MD: str, modes: _Modes, length: int) -> tuple[str, str]:
    """Inside chunks a product with the filter's matrix; from chunk to chunk the states of the modes."""
    channels, size = modes.residue.shape
    chunk = np.gcd(CHUNK, length)
    count, steps = length // chunk, np.arange(chunk)
    u_DJQ = graph.node("Transpose", graph.reshape(u_LD, count, chunk, channels), perm=[2, 0, 1])
    taps_DQ = (modes.residue[..., None] * modes.powers(steps)).sum(1).real
    lag_QQ = steps - steps[:, None]
    filter_DQQ = np.where(lag_QQ >= 0, taps_DQ[:, np.abs(lag_QQ)], 0)
    within_DJQ = graph.node("MatMul", u_DJQ, graph.constant(filter_DQQ))
    write_DQM = modes.powers(steps[::-1]).transpose(0, 2, 1)
    written_DJX = graph.node(
        "MatMul", u_DJQ, graph.constant(np.concatenate([write_DQM.real, write_DQM.imag], 2))
    )
    pole_MD = modes.powers(np.array([chunk]))[..., 0].T
    state, before = state_2MD, []
    for part_D1X in graph.split(written_DJX, [1] * count, 1):
        before.append(state)
        part_2MD = graph.reshape(graph.node("Transpose", part_D1X, perm=[1, 2, 0]), 2, size, channels)
        state = graph.node("Add", _turned(graph, state, pole_MD), part_2MD)
    before_JXD = graph.reshape(graph.node("Concat", *before, axis=0), count, 2 * size, channels)
    read_DMQ = modes.residue[..., None] * modes.powers(steps + 1)
    carried_DJQ = graph.node(
        "MatMul",
        graph.node("Transpose", before_JXD, perm=[2, 0, 1]),
        graph.constant(np.concatenate([read_DMQ.real, -read_DMQ.imag], 1)),
    )
    y_DJQ = graph.node("Add", within_DJQ, carried_DJQ)
    return graph.reshape(graph.node("Transpose", y_DJQ, perm=[1, 2, 0]), length, channels), state


def _turned(graph: GraphWriter, state_2MD: str, pole_MD: np.ndarray) -> str:
    """The product of complex numbers, whose real and imaginary parts lie one behind the other."""
    swapped_2MD = graph.node("Gather", state_2MD, graph.constant([1, 0], np.int64), axis=0)
    crossed_2MD = graph.constant(np.stack([-pole_MD.imag, pole_MD.imag]))
    return graph.node(
        "Add",
        graph.node("Mul", state_2MD, graph.constant(pole_MD.real)),
        graph.node("Mul", swapped_2MD, crossed_2MD),
    )
