"""What every token-mixing structure offers: one operator T in three forms that agree.

Legend: B batch, L tokens of this pass, S tokens held so far, H heads, D channels, E channels of the
mixed sequence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch

from star_core.architecture import Layer
from star_core.errors import ConfigError, nearest
from star_core.livs.rotary import Positions
from star_core.vocabulary.tables import TokenMixing

Features = Mapping[str, torch.Tensor]
"""Feature groups by role: ``C``, ``B``, ``V`` as (B, L, heads, channels), ``A`` as (B, L, heads, 1),
``K`` as its filter (taps (D, I, K), or a complex modal filter). A group whose state grows per token
arrives as its whole history, (B, S, …)."""

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


_MIXERS: dict[TokenMixing, type[Mixer]] = {}


def register(token_mixing: TokenMixing) -> Callable[[type[Mixer]], type[Mixer]]:
    """Class decorator: makes a mixer the arithmetic of a token-mixing allele."""

    def add(mixer: type[Mixer]) -> type[Mixer]:
        _MIXERS[token_mixing] = mixer
        return mixer

    return add


def mixer_of(token_mixing: TokenMixing) -> type[Mixer]:
    """The mixer an operator genome's token-mixing allele stands for.

    Raises:
        ConfigError: No file in ``star_core/livs`` registers one.
    """
    if token_mixing not in _MIXERS:
        raise ConfigError(
            "no mixer is registered for this token-mixing structure",
            value=token_mixing.name,
            place="star_core/livs",
            fix=nearest(token_mixing.name, [known.name for known in _MIXERS]),
        )
    return _MIXERS[token_mixing]
