"""What a model is measured on. Nothing here imports a runtime: it need not be installed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.version import Version

from star_core.errors import ConfigError, nearest


@dataclass(frozen=True, slots=True)
class Runtime:
    """A program that runs models on a device.

    Attributes:
        name: As in ``objectives.runtime``.
        package: That brings it, by the name it is installed by.
        module: By which it is imported.
        weights: Precisions of matrices that it computes with.
        target: ``module:function`` from an architecture, ``Conditions`` and a device to a
            ``star_core.measurement.inference.Session``, loaded by the process that measures.
        reads_graphs: Whether it runs what ``star_core.graphs`` writes.
        oldest: First version that reads opset 23, which graphs are written in; empty: any will do.
    """

    name: str
    package: str
    module: str
    weights: tuple[str, ...]
    target: str
    reads_graphs: bool = False
    oldest: str = ""

    @property
    def version(self) -> str:
        """Of the package.

        Raises:
            ConfigError: It is not installed, or too old.
        """
        try:
            found = importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise ConfigError(
                "this runtime is not installed here",
                value=self.name,
                place="objectives.runtime",
                fix=f"pip install {self.package}, or use onnxruntime",
            ) from None
        if self.oldest and Version(found) < Version(self.oldest):
            raise ConfigError(
                f"graphs are written in opset 23, which {self.name} {found} does not read",
                value=self.name,
                place="objectives.runtime",
                fix=f"pip install '{self.package}>={self.oldest}'",
            )
        return found

    def require(self) -> None:
        """Imports it.

        Raises:
            ConfigError: It is not installed, too old, or broken.
        """
        _ = self.version
        try:
            importlib.import_module(self.module)
        except Exception as error:  # of its libraries, whatever they raise
            raise ConfigError(
                f"this runtime is installed, but cannot be imported ({type(error).__name__}: {error})",
                value=self.name,
                place="objectives.runtime",
                fix=f"pip install --force-reinstall {self.package}, or use another one",
            ) from error


_ALL = ("f32", "int8", "int4")
_GRAPHS, _EXPORTED = "star_core.measurement.graphs", "star_core.exported.llama_session"
RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime("onnxruntime", "onnxruntime", "onnxruntime", _ALL, f"{_GRAPHS}:OnnxRuntime", True, "1.23"),
        Runtime("openvino", "openvino", "openvino", _ALL, f"{_GRAPHS}:OpenVino", True, "2026.0"),
        Runtime("llama.cpp", "llama-cpp-python", "llama_cpp", _ALL, f"{_EXPORTED}:LlamaCpp"),
        Runtime("eager", "torch", "torch", ("f32",), "star_core.measurement.eager:Eager"),
    )
}


def runtime(name: str, weights: str) -> Runtime:
    """The runtime of this name.

    Raises:
        ConfigError: There is none, or it does not compute with such weights.
    """
    if name not in RUNTIMES:
        raise ConfigError(
            "no such runtime", value=name, place="objectives.runtime", fix=nearest(name, RUNTIMES)
        )
    found = RUNTIMES[name]
    if weights not in found.weights:
        raise ConfigError(
            f"{name} does not compute with such weights here",
            value=weights,
            place="objectives.weights",
            fix=f"use {' or '.join(found.weights)}, or objectives.runtime: onnxruntime",
        )
    return found
