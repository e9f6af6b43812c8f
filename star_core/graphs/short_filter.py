"""Causal convolution with a few taps as a graph, behind a window of the inputs before.

Legend: L tokens of this pass, D channels, I channels that one channel reads, G = D / I blocks, K taps.
"""

from __future__ import annotations

import numpy as np

from star_core.graphs.writer import GraphWriter


def short_filter(
    graph: GraphWriter, u_LD: str, window_WD: str, name: str, filter_DIK: np.ndarray, length: int
) -> tuple[str, str]:
    """Outputs (L, D) and the new window, (K - 1, D), the earliest input first.

    Args:
        graph: Where nodes are added.
        u_LD: Inputs.
        window_WD: The K - 1 inputs before them.
        name: Of the filter.
        filter_DIK: Taps; tap t weighs the input t tokens back.
        length: Tokens L.
    """
    channels, inputs, taps = filter_DIK.shape
    seen_SD = graph.node("Concat", window_WD, u_LD, axis=0)
    new_WD = graph.slice(seen_SD, length, length + taps - 1, 0)
    if inputs == 1:
        taps_KD = filter_DIK[:, 0, ::-1].T
        if length == 1:
            weighed_KD = graph.node("Mul", seen_SD, graph.weight(name, taps_KD))
            return graph.node("ReduceSum", weighed_KD, graph.constant([0], np.int64), keepdims=1), new_WD
        weighed = [
            graph.node(
                "Mul", graph.slice(seen_SD, tap, tap + length, 0), graph.weight(f"{name}.{tap}", taps_KD[tap])
            )
            for tap in range(taps)
        ]
        y_LD = weighed[0]
        for other in weighed[1:]:
            y_LD = graph.node("Add", y_LD, other)
        return y_LD, new_WD
    blocks = channels // inputs
    # (G, K · I, I): what a token has seen, tap by tap, times one matrix for each block.
    filter_GOIK = filter_DIK.reshape(blocks, inputs, inputs, taps)[..., ::-1]
    matrix_GXO = filter_GOIK.transpose(0, 3, 2, 1).reshape(blocks, taps * inputs, inputs)
    shifted = [graph.slice(seen_SD, tap, tap + length, 0) for tap in range(taps)]
    seen_LKGI = graph.reshape(graph.node("Concat", *shifted, axis=1), length, taps, blocks, inputs)
    seen_GLX = graph.reshape(
        graph.node("Transpose", seen_LKGI, perm=[2, 0, 1, 3]), blocks, length, taps * inputs
    )
    y_GLO = graph.node("MatMul", seen_GLX, graph.weight(name, matrix_GXO))
    return graph.reshape(graph.node("Transpose", y_GLO, perm=[1, 0, 2]), length, channels), new_WD
