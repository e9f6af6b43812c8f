"""Time and memory of a model's graph on the runtimes that read ONNX."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from star_core.architecture import Architecture
from star_core.graphs import BLOCK, random_weights, write_graph
from star_core.graphs.runner import Decoder, Graph
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, Session
from star_core.measurement.on_device import Work


def graph_files(
    architecture: Architecture, precision: str, lengths: tuple[int, ...] = (1, BLOCK)
) -> list[bytes]:
    """Graphs of passes of these lengths, with random weights: they change no cost."""
    weights = random_weights(architecture)
    return [
        write_graph(architecture, weights, length, precision).proto.SerializeToString() for length in lengths
    ]


class OnnxRuntime(Work, Session):
    """One sequence, decoded as an exported model is."""

    graph: Callable[[str | bytes, int], Graph] = Graph

    def __init__(self, architecture: Architecture, conditions: Conditions, device: Device) -> None:
        Session.__init__(self, conditions, device)
        step, block = graph_files(architecture, conditions.weights)
        decoder = Decoder(step, block, conditions.threads, self.graph)
        Work.__init__(self, decoder, conditions.vocab_size, conditions.prompt, conditions.context)

    @classmethod
    def kernels(cls, architecture: Architecture, conditions: Conditions) -> dict[str, int]:
        """Operators of the step's graph as ONNX Runtime optimises it."""
        (step,) = graph_files(architecture, conditions.weights, (1,))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory(prefix="star-kernels-") as folder:
            path = Path(folder) / "optimised.onnx"
            options.optimized_model_filepath = str(path)
            onnxruntime.InferenceSession(step, options, providers=["CPUExecutionProvider"])
            return dict(Counter(node.op_type for node in onnx.load(path).graph.node))


class OpenVinoGraph(Graph):
    """A graph that OpenVINO runs, in float32: by itself it would choose bfloat16."""

    def __init__(self, model: str | bytes, threads: int = 1) -> None:
        import openvino

        self._openvino = openvino
        read = openvino.Core().read_model(model)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = openvino.Core().compile_model(read, "CPU", settings)
        self.description = json.loads(read.get_rt_info(["framework", "star"]).astype(str))
        states = [state["name"] for state in self.description["states"]]
        known = {"tokens", "position", "logits", *states, *(f"{name}.new" for name in states)}
        self.inputs, self.outputs = (
            {
                # What is fused into a port leaves it its names too.
                min(port.names & known): [
                    size.get_length() if size.is_static else "held" for size in port.get_partial_shape()
                ]
                for port in ports
            }
            for ports in (self._compiled.inputs, self._compiled.outputs)
        )

    def layers(self) -> list[str]:
        """Kinds of the layers that it executes."""
        layers = self._compiled.get_runtime_model().get_ordered_ops()
        return [layer.get_rt_info()["layerType"].astype(str) for layer in layers]

    def bind(self, arrays: Mapping[str, np.ndarray]) -> Callable[[], object]:
        """What computes the outputs from the inputs, each in its array, without copying any."""
        request = self._compiled.create_infer_request()
        for name in (*self.inputs, *self.outputs):
            request.set_tensor(name, self._openvino.Tensor(arrays[name], shared_memory=True))

        def run(kept: object = arrays) -> None:
            request.infer()

        return run


class OpenVino(OnnxRuntime):
    """The same graph and the same steps, computed by OpenVINO."""

    graph = OpenVinoGraph

    @classmethod
    def kernels(cls, architecture: Architecture, conditions: Conditions) -> dict[str, int]:
        """Layers of the step as OpenVINO executes it."""
        (step,) = graph_files(architecture, conditions.weights, (1,))
        layers = OpenVinoGraph(step).layers()
        return dict(Counter(layer for layer in layers if layer not in ("Input", "Output", "Const")))
