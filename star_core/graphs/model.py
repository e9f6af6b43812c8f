"""A whole model as a graph: token ids and states in, logits and new states out.

Batch 1. Legend: L tokens of a pass, V vocabulary, D channels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from star_core.architecture import Architecture
from star_core.graphs.liv import LayerGraphs, Weights
from star_core.graphs.mixer import GraphState
from star_core.graphs.positions import PositionNodes
from star_core.graphs.writer import GraphWriter

BLOCK = 64
"""Tokens that one pass of a prefill reads."""
METADATA = "star"
"""Key of what the graph says of itself, as JSON (``ModelGraph.description``)."""


@dataclass(frozen=True, slots=True)
class ModelGraph:
    """A written graph.

    Attributes:
        proto: The ONNX model.
        states: Its states, in the order of inputs.
    """

    proto: onnx.ModelProto
    states: tuple[GraphState, ...]


def write_graph(
    architecture: Architecture,
    weights: Weights,
    length: int = 1,
    precision: str = "f32",
    every_logit: bool = False,
    told: Mapping[str, object] | None = None,
    put: Callable[[onnx.TensorProto], object] = lambda tensor: None,
) -> ModelGraph:
    """Writes the graph of a pass over ``length`` tokens, in operators of ONNX opset 23.

    Inputs are ``tokens`` (L,), ``position`` (1,), the number of tokens before, both int64, and the states by
    name. Outputs are ``logits`` and each state's ``NAME.new``: the state after the pass, or for a history
    the rows of its tokens.

    Args:
        architecture: The compiled genome.
        weights: Float32, by their names in the model's state dict.
        length: Tokens L of a pass, 1 to ``BLOCK``.
        precision: Of matrices: ``f32``, ``int8`` or ``int4``, which need an operator of ONNX Runtime's.
        every_logit: Whether logits are (L, V), not (1, V) of the last token.
        told: What else the graph says of itself, as JSON has it.
        put: Called with each tensor that is stored; it may put the content elsewhere.

    Raises:
        ConfigError: One of its structures has no graph.
    """
    graph = GraphWriter(precision, put)
    tokens = graph.input("tokens", (length,), np.int64)
    positions = PositionNodes(graph, length)
    x_LD = graph.rows(tokens, "embedding", weights["embedding"])
    layers = LayerGraphs(graph, architecture, weights, positions)
    for layer in architecture.layers:
        x_LD = layers.add(x_LD, layer)
    if length > 1 and not every_logit:
        x_LD = graph.slice(x_LD, length - 1, length, 0)
    normed_LD = layers.norm(x_LD, "backbone.norm")
    logits_LV = _head(graph, normed_LD, weights["embedding"])
    graph.output(logits_LV, "logits", (length if every_logit else 1, architecture.vocab_size))
    states = tuple(layers.states.values())
    description = {
        "digest": architecture.digest,
        "length": length,
        "precision": precision,
        "vocabulary": architecture.vocab_size,
        "states": [{"name": state.name, "grows": state.grows} for state in states],
        **(told or {}),
    }
    return ModelGraph(graph.model(architecture.digest[:12], {METADATA: json.dumps(description)}), states)


def _head(graph: GraphWriter, x_LD: str, embedding_VD: np.ndarray) -> str:
    """Logits; the head is the embedding, which is stored once."""
    if graph.bits:
        return graph.matrix_product(x_LD, "embedding", lambda: embedding_VD)
    return graph.node("Gemm", x_LD, graph.weight("embedding", embedding_VD), transB=1)
