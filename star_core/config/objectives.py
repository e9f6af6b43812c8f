"""What a search minimises."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from star_core.config.section import ExtensibleSection
from star_core.errors import ConfigError, nearest
from star_core.registry import Registry

OBJECTIVE_PRESETS: dict[str, tuple[str, ...]] = {
    "quality": ("perplexity",),
    "quality+size": ("perplexity", "parameters"),
    "quality+cache": ("perplexity", "cache_bytes"),
    "quality+size+cache": ("perplexity", "parameters", "cache_bytes"),
}


MEASURED = ("prefill_seconds", "decode_seconds_per_token", "peak_memory_bytes")
"""Objectives that are measured on a runtime, and that sizes are meant to stand for."""


class Objectives(ExtensibleSection):
    """What is minimised.

    An objective of a plug-in may have settings of its own, under its name.

    Attributes:
        preset: ``quality``, ``quality+size``, ``quality+cache`` or ``quality+size+cache``.
        names: Objectives by name, instead of a preset.
        cache_length: Tokens held when the inference cache, or the time per token, is measured.
        prompt_length: Tokens of the prompt when the time to the first token is measured.
        cache: Precision in which a device holds what features of single tokens it remembers, keys and values
            above all: ``bf16`` or ``f32``. Sums over many tokens are held in float32 in any case.
        runtime: On which time and memory are measured: ``onnxruntime``, ``openvino``, ``llama.cpp``, or
            ``eager``: this package's own steps in torch, which nobody deploys.
        weights: In what a device stores the matrices of a model: ``f32``, ``int8`` or ``int4``.
        threads: That the runtime computes with; ``None``: as many as a training.
        device: Another device, whose imported figures (``data/devices/NAME.json``) stand in for a runtime
            here: time and memory follow from them. A run keeps it as ``NAME@DIGEST``.
        mad_steps: Optimiser steps on each of the synthetic tasks of ``mad_error``.
        constraints: Objective name → largest admissible value (need not be an objective of the run).
    """

    plugins: ClassVar[Registry[Any]] = Registry(
        "objective", "star_core.objectives", "star.objectives", "objectives", ConfigError
    )

    preset: str | None = "quality+size+cache"
    names: list[str] | None = None
    cache_length: int = Field(default=4096, ge=1)
    prompt_length: int = Field(default=512, ge=1)
    cache: Literal["bf16", "f32"] = "bf16"
    runtime: Literal["onnxruntime", "openvino", "llama.cpp", "eager"] = "onnxruntime"
    weights: Literal["f32", "int8", "int4"] = "f32"
    threads: int | None = Field(default=None, ge=1)
    device: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(@[0-9a-f]{64})?$")
    mad_steps: int = Field(default=200, ge=1)
    constraints: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _device_has_its_runtime(self) -> Objectives:
        if self.device is not None and "runtime" in self.model_fields_set:
            raise ValueError("a device brings its runtime: state objectives.device or objectives.runtime")
        return self

    @property
    def feature_bytes(self) -> int:
        """Bytes of one remembered number of a token's features."""
        return 2 if self.cache == "bf16" else 4

    def depends_on(self, key: str) -> bool:
        """Whether values depend on ``runtime``, or on ``cache``."""
        if key == "cache":
            return "cache_bytes" in {*self.selected, *self.constraints}
        return self.is_measured

    @property
    def is_measured(self) -> bool:
        """Whether an objective or a constraint is measured on the runtime."""
        if self.device is not None:
            return False
        wanted = {*self.selected, *self.constraints}
        return not wanted.isdisjoint(MEASURED)

    @property
    def selected(self) -> tuple[str, ...]:
        """Objective names, in order.

        Raises:
            ConfigError: No such preset, an objective twice, or none at all.
        """
        if self.names is not None:
            if not self.names or len(set(self.names)) != len(self.names):
                raise ConfigError(
                    "at least one objective, each once",
                    value=self.names,
                    place="objectives.names",
                    fix="use e.g. [perplexity, parameters]",
                )
            return tuple(self.names)
        if self.preset not in OBJECTIVE_PRESETS:
            raise ConfigError(
                "no such preset of objectives",
                value=self.preset,
                place="objectives.preset",
                fix=nearest(self.preset, OBJECTIVE_PRESETS),
            )
        return OBJECTIVE_PRESETS[self.preset]
