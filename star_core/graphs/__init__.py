"""A model as an ONNX graph, written from its spec and its weights: the fourth form of every operator.

A structure is described by *shapes* (``star_core/structures``), by *arithmetic* for training
(``star_core/livs``) and here by the *graph* that a device runs. No torch.
"""

from star_core.graphs.mixer import GraphMixer, graph_mixer_of, register, require_graphs
from star_core.graphs.model import BLOCK, ModelGraph, write_graph
from star_core.graphs.weights import random_weights, weight_shapes
from star_core.graphs.writer import GraphWriter

__all__ = [
    "BLOCK",
    "GraphMixer",
    "GraphWriter",
    "ModelGraph",
    "graph_mixer_of",
    "random_weights",
    "register",
    "require_graphs",
    "weight_shapes",
    "write_graph",
]
