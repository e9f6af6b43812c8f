"""The inference cache: what a model remembers of the tokens so far, allocated once, in full.

Legend: B batch, H heads, S tokens it can hold, E channels per head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from star_core.architecture import Architecture
from star_core.errors import ConfigError
from star_core.livs.forward_pass import StateKey


@dataclass
class Cache:
    """States of every layer for ``batch_size`` sequences of up to ``max_length`` tokens.

    Written in place by ``prefill`` and ``step``, which return the same object.

    Attributes:
        digest: Of the architecture it was made for.
        batch_size: Sequences B.
        max_length: Tokens per sequence it can hold.
        tensors: States by layer, branch and name: (B, …), and histories (B, H, S, E).
        length: Tokens per sequence it holds.
    """

    digest: str
    batch_size: int
    max_length: int
    tensors: Mapping[StateKey, torch.Tensor]
    length: int = 0

    @property
    def num_bytes(self) -> int:
        """Bytes its tensors hold in memory, counted by storage."""
        storages = {
            tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
            for tensor in self.tensors.values()
        }
        return sum(storages.values())

    def reset(self) -> None:
        """Forgets every token; keeps the memory."""
        for tensor in self.tensors.values():
            tensor.zero_()
        self.length = 0

    def commit(self, updates: Mapping[StateKey, torch.Tensor], tokens: int) -> None:
        """Stores the states a pass over ``tokens`` tokens has left."""
        for key, state in updates.items():
            self.tensors[key].copy_(state)
        self.length += tokens


def allocate_cache(
    arch: Architecture, batch_size: int, max_length: int, device: torch.device, dtype: torch.dtype
) -> Cache:
    """An empty cache, of exactly ``arch.cache_bytes(max_length, batch_size)`` bytes in float32.

    Raises:
        ConfigError: Batch size or length is no positive integer.
    """
    for name, value in (("batch_size", batch_size), ("max_length", max_length)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(
                f"{name} is a positive integer", value=value, place="init_cache", fix="use e.g. 1"
            )
    tensors = {}
    # Tensors born in inference mode could not be written outside of it.
    with torch.inference_mode(False):
        for layer in arch.layers:
            for branch in range(layer.branches):
                for state in layer.states:
                    shape = state.shape
                    if state.per_token:
                        shape = (*shape[:-1], max_length, shape[-1])
                    key = StateKey(layer.index, branch, state.name)
                    tensors[key] = torch.zeros(batch_size, *shape, device=device, dtype=dtype)
    return Cache(arch.digest, batch_size, max_length, tensors)
