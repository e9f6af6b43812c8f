"""Time and memory of this package's own steps in torch, which no one deploys.

Shapes: B batch (always 1 here), L length, V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from star_core.architecture import Architecture
from star_core.measurement.device import Device
from star_core.measurement.inference import Conditions, Session
from star_core.measurement.timing import STEPS
from star_core.models import build_model


class Eager(Session):
    """One sequence in torch, operator by operator."""

    def __init__(self, architecture: Architecture, conditions: Conditions, device: Device) -> None:
        super().__init__(conditions, device)
        self._model = build_model(architecture).to(device.torch_device)
        self._cache = self._model.init_cache(1, conditions.longest)
        self._generator = torch.Generator(device.torch_device).manual_seed(0)
        self._prompt_BL = torch.randint(
            conditions.vocab_size,
            (1, conditions.prompt),
            generator=self._generator,
            device=device.torch_device,
        )

    @torch.inference_mode()
    def prefill(self) -> None:
        """Reads the prompt up to the choice of its first token."""
        logits_BLV, _ = self._model.prefill(self._prompt_BL, self._cache)
        int(logits_BLV[0, -1].argmax())

    @torch.inference_mode()
    def decode(self) -> None:
        """Writes ``STEPS`` tokens, each the likeliest behind the one before."""
        tokens_B = self._prompt_BL[:, 0]
        for _ in range(STEPS):
            logits_BV, _ = self._model.step(tokens_B, self._cache)
            tokens_B = logits_BV.argmax(-1)
        self.device.finish()

    def fill(self) -> None:
        """Makes the cache hold the context; random states cost what real ones cost."""
        for tensor in self._cache.tensors.values():
            tensor.normal_(std=0.1, generator=self._generator)
        self.rewind()

    def empty(self) -> None:
        """Forgets what was read."""
        self._cache.reset()
        self.device.finish()

    def rewind(self) -> None:
        """Makes the cache hold no more than the context."""
        self._cache.length = self.conditions.context
        self.device.finish()

    @classmethod
    @torch.inference_mode()
    def kernels(cls, architecture: Architecture, conditions: Conditions) -> dict[str, int]:
        """Operators that torch is asked for in one step."""
        model = build_model(architecture)
        cache = model.init_cache(1, 1)
        with _Counting() as counting:
            model.step(torch.zeros(1, dtype=torch.long), cache)
        return dict(counting.calls)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators.

    Attributes:
        calls: Operator → how often.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))
