"""The compiled spec: what the search half hands to the model half. Plain, frozen, no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from star_core.genome.backbone import Genome
from star_core.structures.feature_groups import Kind, feature_flops
from star_core.structures.registered import structure_of
from star_core.structures.shapes import Dimensions, FeatureShape, State, Weight
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import LIVClass


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """One feature group of one layer, with its sharing resolved.

    Attributes:
        role: Its letter, e.g. ``C``.
        kind: How it is computed.
        genome: How it is computed.
        shape: Heads × channels.
        computed_by: Index of the layer whose computed features are used; the layer itself unless
            feature-group sharing reuses an earlier one's.
        weights_of: Index of the layer that owns the weights it is computed with; the layer itself
            unless featurizer sharing ties it to an earlier one. ``None`` if it is not computed here.
        weights: The weights it is computed with (owned by ``weights_of``).
    """

    role: str
    kind: Kind
    genome: FeatureGroupGenome
    shape: FeatureShape
    computed_by: int
    weights_of: int | None
    weights: tuple[Weight, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One LIV of the compiled backbone: y = x + W · T(norm(x)) norm(x).

    Attributes:
        index: Depth, from 0.
        liv_class: Class name and genomes.
        groups: Feature groups by role order. A differential LIV has each of them ``branches`` times.
        states: Inference state this layer holds itself, per branch.
        weights: Weights of the layer besides its feature groups: ``norm``, ``output`` (or
            ``output_scale``) and, for a differential LIV, ``difference`` (the λ of
            y = T₁x - λ T₂x, one per LIV).
    """

    index: int
    liv_class: LIVClass
    groups: tuple[FeatureGroup, ...]
    states: tuple[State, ...]
    weights: tuple[Weight, ...]

    @property
    def branches(self) -> int:
        """2 for a differential LIV, else 1."""
        return 2 if self.liv_class.differential else 1

    @property
    def num_parameters(self) -> int:
        """Scalars this layer owns (weights shared with an earlier layer count there)."""
        own = sum(
            weight.size for group in self.groups if group.weights_of == self.index for weight in group.weights
        )
        return own * self.branches + sum(weight.size for weight in self.weights)

    def cache_elements(self, length: int) -> int:
        """Scalars of inference state held for one sequence of ``length`` tokens."""
        return self.branches * sum(state.elements(length) for state in self.states)

    def cache_bytes(self, length: int, bytes_per_element: int = 4, feature_bytes: int | None = None) -> int:
        """Bytes of it; ``feature_bytes`` are those of a scalar of a state that sums nothing up."""
        features = bytes_per_element if feature_bytes is None else feature_bytes
        return self.branches * sum(
            state.elements(length) * (bytes_per_element if state.accumulates else features)
            for state in self.states
        )

    def flops_per_token(self, context: int, dims: Dimensions) -> int:
        """Forward FLOPs for one token with ``context`` tokens held."""
        computed = sum(
            feature_flops(group.kind, group.genome, group.shape, dims)
            for group in self.groups
            if group.computed_by == self.index
        )
        operator = self.liv_class.operator
        mixing = structure_of(operator.token_mixing).mixing_flops(
            operator,
            {group.role: group.genome for group in self.groups},
            {group.role: group.shape for group in self.groups},
            dims,
            context,
        )
        output = next(2 * weight.size for weight in self.weights if weight.name in ("output", "output_scale"))
        return self.branches * (computed + mixing) + output


@dataclass(frozen=True)
class Architecture:
    """A compiled genome: every layer with its sharing resolved, sizes known without allocating.

    Attributes:
        genome: The genome it was compiled from.
        dims: Width and head size.
        vocab_size: Rows V of the embedding, which is tied to the output head.
        layers: In order of depth.
    """

    genome: Genome
    dims: Dimensions
    vocab_size: int
    layers: tuple[Layer, ...]

    @property
    def width(self) -> int:
        """Channels D of the residual stream."""
        return self.dims.width

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what the model computes; equal for genomes that differ only in names.

        Sharing indices, class numbers and the genome text do not enter: two genomes with one digest
        are one candidate and are never both trained.
        """
        layers = [
            [
                str(layer.liv_class.operator)[1:]
                + structure_of(layer.liv_class.operator.token_mixing).identity,
                layer.branches,
                [
                    [group.role, str(group.genome), group.computed_by, group.weights_of]
                    if group.computed_by == layer.index
                    else [group.role, group.computed_by]
                    for group in layer.groups
                ],
            ]
            for layer in self.layers
        ]
        spec = [self.dims.width, self.dims.head_dim, self.vocab_size, layers]
        return hashlib.sha256(json.dumps(spec, separators=(",", ":")).encode()).hexdigest()

    def named_weights(self) -> Iterator[tuple[str, Weight]]:
        """The weights of all LIVs by their names in the model, each once, with its owner.

        Beside them a model has ``embedding`` (V × D) and ``backbone.norm`` (D).
        """
        for layer in self.layers:
            prefix = f"backbone.layers.{layer.index}"
            for weight in layer.weights:
                yield f"{prefix}.{weight.name}", weight
            for branch in range(layer.branches):
                for group in layer.groups:
                    for weight in group.weights if group.weights_of == layer.index else ():
                        yield f"{prefix}.featurizers.{branch}.{group.role}.{weight.name}", weight

    @cached_property
    def num_parameters(self) -> int:
        """Scalars of the whole model: embedding (tied head), layers, final norm."""
        layers = sum(layer.num_parameters for layer in self.layers)
        return self.vocab_size * self.width + layers + self.width

    def cache_bytes(
        self, length: int, batch: int = 1, bytes_per_element: int = 4, feature_bytes: int | None = None
    ) -> int:
        """Bytes of inference cache that ``batch`` sequences of ``length`` tokens hold, by default in float32.

        Args:
            length: Tokens that are held.
            batch: Sequences.
            bytes_per_element: Of a scalar.
            feature_bytes: Of one of a state that holds features of single tokens, if it is another.
        """
        return batch * sum(
            layer.cache_bytes(length, bytes_per_element, feature_bytes) for layer in self.layers
        )

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs for one token with ``context`` tokens held; a multiply-add counts 2."""
        layers = sum(layer.flops_per_token(context, self.dims) for layer in self.layers)
        return layers + 2 * self.vocab_size * self.width

    def training_flops(self, tokens: int, sequence_length: int) -> int:
        """FLOPs of training on ``tokens`` tokens: forward plus twice that for backward."""
        return 3 * tokens * self.flops_per_token((sequence_length + 1) // 2)

    def describe(self) -> str:
        """The architecture as text, a line per layer."""
        lines = [
            f"{len(self.layers)} LIVs, width {self.width}, {self.dims.heads} heads of {self.dims.head_dim}, "
            f"{self.num_parameters:,} parameters, digest {self.digest[:12]}"
        ]
        for layer in self.layers:
            parts = []
            for group in layer.groups:
                source = ""
                if group.computed_by != layer.index:
                    source = f" from LIV {group.computed_by + 1}"
                elif group.weights_of not in (None, layer.index):
                    source = f" weights of LIV {(group.weights_of or 0) + 1}"
                parts.append(f"{group.role} {group.shape.heads}×{group.shape.channels}{source}")
            lines.append(f"{layer.index + 1:>3}  {layer.liv_class.name:<13} {'; '.join(parts)}")
        return "\n".join(lines)
