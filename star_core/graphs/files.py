"""The graphs of a model as files, as ``star_core/graphs/runner.py`` opens them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from onnx import TensorProto
from onnx.external_data_helper import set_external_data

from star_core.architecture import Architecture
from star_core.graphs.liv import Weights
from star_core.graphs.model import BLOCK, write_graph
from star_core.graphs.runner import file_names

_INLINE = 1024
"""Bytes from which a tensor lies beside its graph; ONNX's own default."""
_ALIGNMENTS = {1 << 20: 1 << 16, 1 << 12: 1 << 12, 0: 1 << 6}
"""Least bytes of a tensor → what its place is a multiple of: what Windows maps, a page, a line of cache."""


def write_files(
    folder: Path,
    architecture: Architecture,
    weights: Weights,
    precision: str = "f32",
    told: Mapping[str, object] | None = None,
) -> None:
    """Writes both graphs and one file of weights, in which what is equal in the two lies once.

    A graph without its weights is small, whatever the model: no file of ONNX may have 2 GiB.

    Args:
        folder: Is there.
        architecture: As of ``write_graph``, like all that follows.
        weights: Of the model.
        precision: Of matrices.
        told: What else the graphs say of themselves.

    Raises:
        OSError: The folder cannot be written.
        ConfigError: As ``write_graph``.
    """
    places: dict[bytes, int] = {}
    step, block, beside = file_names(precision)
    with (folder / beside).open("wb") as file:

        def put(tensor: TensorProto) -> None:
            content = tensor.raw_data
            if len(content) < _INLINE:
                return
            digest = sha256(content).digest()
            if digest not in places:
                aligned = next(aligned for size, aligned in _ALIGNMENTS.items() if len(content) >= size)
                file.write(bytes(-file.tell() % aligned))
                places[digest] = file.tell()
                file.write(content)
            set_external_data(tensor, beside, places[digest], len(content))
            tensor.ClearField("raw_data")

        for name, length in ((step, 1), (block, BLOCK)):
            proto = write_graph(architecture, weights, length, precision, told=told, put=put).proto
            (folder / name).write_bytes(proto.SerializeToString())
