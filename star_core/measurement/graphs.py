"""Time and memory of a model's graph on the runtimes that read ONNX."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np

from star_core.architecture import Architecture
from star_core.graphs import BLOCK, random_weights, write_graph
from star_core.graphs.runner import Decoder, Graph
from star_core.measurement.device import Device
from star_core.measurement.inference import STEPS, Conditions, Session


class OnnxRuntime(Session):
    """One sequence, decoded as an exported model is."""

    graph: Callable[[str | bytes, int], Graph] = Graph

    def __init__(self, architecture: Architecture, conditions: Conditions, device: Device) -> None:
        super().__init__(conditions, device)
        weights = random_weights(architecture)
        step, block = (
            write_graph(architecture, weights, length, conditions.weights).proto.SerializeToString()
            for length in (1, BLOCK)
        )
        del weights
        self._decoder = Decoder(step, block, conditions.threads, self.graph)
        prompt = np.random.default_rng(0).integers(conditions.vocab_size, size=conditions.prompt)
        self._prompt: list[int] = prompt.tolist()

    def prefill(self) -> None:
        """Reads the prompt up to the choice of its first token."""
        self._decoder.feed(self._prompt).argmax()

    def decode(self) -> None:
        """Writes ``STEPS`` tokens, each the likeliest behind the one before."""
        token = 0
        for _ in range(STEPS):
            token = int(self._decoder.feed((token,)).argmax())

    def empty(self) -> None:
        """Forgets what was read."""
        self._decoder.reset(self.conditions.prompt)

    def fill(self) -> None:
        """Makes the states hold what they may hold behind the context."""
        self._decoder.pretend(self.conditions.context)
        self._decoder.reserve(self.conditions.longest)

    def rewind(self) -> None:
        """Makes the states hold no more than the context."""
        self._decoder.position = self.conditions.context


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
        self.inputs, self.outputs = (
            {
                port.any_name: [
                    size.get_length() if size.is_static else "held" for size in port.get_partial_shape()
                ]
                for port in ports
            }
            for ports in (self._compiled.inputs, self._compiled.outputs)
        )

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
