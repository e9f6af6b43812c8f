"""What every token-mixing structure offers: one operator T in three forms that agree.

Legend: B batch, L tokens of this pass, S tokens held so far, H heads, D channels, E channels of the
mixed sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch

from star_core.architecture import Layer
from star_core.errors import ConfigError
from star_core.livs.rotary import Positions
from star_core.registry import Registry
from star_core.structures.base import Structure
from star_core.structures.registered import structure_of

Features = Mapping[str, torch.Tensor]
"""Feature groups by role, as (B, L, heads, channels); a filter as such (taps (D, I, K), or a complex modal
filter). A group whose state grows per token arrives as its whole history, (B, S, …)."""

States = dict[str, torch.Tensor]
"""Constant-size states by name, (B, …). A form takes the old ones and returns new ones."""


class Mixer(ABC):
    """The arithmetic of one token-mixing structure: y_i = Σ_j T_ij(features) V_j, without weights.

    The three forms compute the same y_BLE from the same features. ``reference`` materialises T and
    starts from nothing; ``parallel`` takes any number of tokens; ``step`` takes one, in a time that
    depends on the tokens before only where the structure keeps a history. ``states`` is ``None``
    where nothing came before and nothing need be kept: then no states are returned. ``positions`` are
    those of the L tokens of the pass.
    """

    def __init__(self, layer: Layer) -> None:
        self.operator = layer.liv_class.operator
        self.groups = {group.role: group.genome for group in layer.groups}
        self.shapes = {group.role: group.shape for group in layer.groups}

    def prepare(self, role: str, feature: torch.Tensor, positions: Positions) -> torch.Tensor:
        """The last step of computing a feature group: what depends on the structure, not the featurizer."""
        return feature

    @abstractmethod
    def reference(self, features: Features, positions: Positions) -> torch.Tensor:
        """T materialised: short, quadratic, for tests and readers."""

    @abstractmethod
    def parallel(
        self, features: Features, states: States | None, positions: Positions
    ) -> tuple[torch.Tensor, States]:
        """Many tokens at once, in matrix products."""

    @abstractmethod
    def step(self, features: Features, states: States, positions: Positions) -> tuple[torch.Tensor, States]:
        """One token (L = 1) after those that ``states`` remember."""


MIXERS: Registry[type[Mixer]] = Registry(
    "arithmetic of a structure", "star_core.livs", "star.mixers", "star_core/livs", ConfigError
)


def register(structure: Structure) -> Callable[[type[Mixer]], type[Mixer]]:
    """Class decorator: makes a mixer the arithmetic of a structure."""
    return lambda mixer: MIXERS.add(structure.name, mixer)


def mixer_of(allele: int) -> type[Mixer]:
    """The mixer that the token-mixing allele of an operator genome stands for.

    Raises:
        ConfigError: Nothing in ``star_core/livs`` and no package's ``star.mixers`` entry point registers one.
    """
    return MIXERS[structure_of(allele).name]
