"""Nodes and constants of one ONNX graph, and what its matrices are stored in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from star_core.graphs.quantised import BITS, BLOCK_SIZE, Quantised, quantise
from star_core.vocabulary.tables import Nonlinearity

OPSET = 23
IR_VERSION = 11
CONTRIB = "com.microsoft"
"""Operators of ONNX Runtime beside the standard; only quantised matrices need them."""

_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}


class GraphWriter:
    """Writes a graph node by node; values are known by their names.

    Args:
        weights: Precision of the matrices: ``f32``, ``int8`` or ``int4``.
        put: Called with each tensor that is stored; it may put the content elsewhere.
    """

    def __init__(
        self, weights: str = "f32", put: Callable[[TensorProto], object] = lambda tensor: None
    ) -> None:
        self.bits = BITS[weights]
        self._put = put
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._quantised: dict[str, Quantised] = {}
        self._renamed: dict[str, str] = {}

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Adds a node of one output and returns the name of that."""
        return self.nodes(operator, *inputs, count=1, domain=domain, **attributes)[0]

    def nodes(
        self, operator: str, *inputs: str, count: int, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Adds a node of ``count`` outputs and returns their names."""
        number = len(self._nodes)
        outputs = [f"{operator}_{number}" + (f"_{i}" if count > 1 else "") for i in range(count)]
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return outputs

    def input(self, name: str, shape: Sequence[int | str], dtype: type[np.generic] = np.float32) -> str:
        """Declares an input; a size that is a name is found when the graph runs."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[np.dtype(dtype)], shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Makes a value an output of this name."""
        if value in self._renamed or value in self._initializers:
            value = self.node("Identity", value)
        self._renamed[value] = name
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def weight(self, name: str, values: np.ndarray) -> str:
        """A tensor of weights, stored once under its name."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
            self._put(self._initializers[name])
        return name

    def constant(self, values: Any, dtype: type[np.generic] = np.float32) -> str:
        """A tensor that is no weight; equal ones are stored once."""
        array = np.ascontiguousarray(values, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def matrix_product(self, x: str, name: str, rows_SD: Callable[[], np.ndarray]) -> str:
        """The product x Wᵀ with a matrix of weights, stored in the precision of the graph.

        Args:
            x: (L, D).
            name: Of the matrix; it is made and stored once.
            rows_SD: Makes it.
        """
        if not self.bits:
            if name not in self._initializers:
                self.weight(name, rows_SD().T)
            return self.node("MatMul", x, name)
        packed, scales, stored = self._quantise(name, rows_SD)
        return self.node(
            "MatMulNBits",
            x,
            packed,
            scales,
            domain=CONTRIB,
            K=stored.columns,
            N=len(stored.scales),
            bits=self.bits,
            block_size=BLOCK_SIZE,
            accuracy_level=4,
        )

    def rows(self, tokens_L: str, name: str, rows_SD: np.ndarray) -> str:
        """Rows of a matrix of weights, (L, D); if quantised, of the bytes that ``matrix_product`` stores.

        They are another tensor then, of another shape, which a file can let begin at the same place.
        """
        if not self.bits:
            return self.node("Gather", self.weight(name, rows_SD), tokens_L, axis=0)
        packed, scales, stored = self._quantise(name, lambda: rows_SD)
        x_LD = self.node(
            "GatherBlockQuantized",
            self.weight(f"{packed}.rows", stored.packed.reshape(len(rows_SD), -1)),
            tokens_L,
            scales,
            domain=CONTRIB,
            bits=self.bits,
            block_size=BLOCK_SIZE,
            gather_axis=0,
            quantize_axis=1,
        )
        return x_LD if stored.columns % BLOCK_SIZE == 0 else self.slice(x_LD, 0, stored.columns, 1)

    def _quantise(self, name: str, rows_SD: Callable[[], np.ndarray]) -> tuple[str, str, Quantised]:
        if name not in self._quantised:
            made = self._quantised[name] = quantise(rows_SD(), self.bits)
            self.weight(f"{name}.packed", made.packed)
            self.weight(f"{name}.scales", made.scales)
        return f"{name}.packed", f"{name}.scales", self._quantised[name]

    def reshape(self, x: str, *shape: int) -> str:
        """The value in another shape; one size may be -1."""
        return self.node("Reshape", x, self.constant(shape, np.int64))

    def slice(self, x: str, begin: int, end: int, axis: int) -> str:
        """Entries ``begin`` up to ``end`` along an axis."""
        return self.node("Slice", x, *(self.constant([value], np.int64) for value in (begin, end, axis)))

    def split(self, x: str, sizes: Sequence[int], axis: int) -> list[str]:
        """The value cut into parts of these sizes along an axis."""
        if len(sizes) == 1:
            return [x]
        return self.nodes("Split", x, self.constant(sizes, np.int64), count=len(sizes), axis=axis)

    def nonlinearity(self, allele: Nonlinearity, x: str) -> str:
        """None, ReLU or swish, elementwise."""
        if allele is Nonlinearity.RELU:
            return self.node("Relu", x)
        if allele is Nonlinearity.SWISH:
            return self.node("Mul", x, self.node("Sigmoid", x))
        return x

    def model(self, name: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The graph as it is stored.

        Args:
            name: Of the graph.
            metadata: Texts that go with it.
        """
        for node in self._nodes:
            for names in (node.input, node.output):
                for position, value in enumerate(names):
                    if value in self._renamed:
                        names[position] = self._renamed[value]
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._initializers.values())
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if self.bits:
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="star-open"
        )
        helper.set_model_props(model, dict(metadata))
        return model
