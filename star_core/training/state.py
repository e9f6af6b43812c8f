"""The state of an unfinished training: what is needed to go on as if it had never stopped.

Weights, AdamW's moments and the losses so far, in one safetensors file. The order of the data and the
learning rate follow from the step alone, so going on gives the same bits as training in one go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from star_core.storage.files import write_atomically

FORMAT = "star-training-state"
MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class TrainingState:
    """A training that stopped after ``step`` steps.

    Attributes:
        key: Key of the evaluation that was made when it stopped.
        step: Steps done.
        losses: Training loss of each, nats per token.
        tensors: ``weight.NAME``, ``exp_avg.NAME`` and ``exp_avg_sq.NAME`` of every parameter.
    """

    key: str
    step: int
    losses: tuple[float, ...]
    tensors: dict[str, Tensor]

    @classmethod
    def of(
        cls, key: str, step: int, losses: list[float], model: nn.Module, optimizer: Optimizer
    ) -> TrainingState:
        """The state of a model and its optimiser."""
        tensors = {}
        for name, weight in model.named_parameters():
            tensors[f"weight.{name}"] = weight.detach()
            for moment in MOMENTS:
                tensors[f"{moment}.{name}"] = optimizer.state[weight][moment]
        kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        return cls(key, step, tuple(losses), kept)

    def fits(self, model: nn.Module) -> bool:
        """Whether it is the state of a model with these parameters."""
        shapes = {f"weight.{name}": weight.shape for name, weight in model.named_parameters()}
        return shapes == {name: t.shape for name, t in self.tensors.items() if name.startswith("weight.")}

    def restore(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Copies the weights into the model, or its optimiser's moments into the optimiser."""
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if optimizer is None:
                    weight.copy_(self.tensors[f"weight.{name}"])
                    continue
                moments = {moment: self.tensors[f"{moment}.{name}"].to(weight.device) for moment in MOMENTS}
                # A fused optimiser counts where the weights are.
                step = torch.tensor(float(self.step), device=weight.device)
                optimizer.state[weight] = {"step": step, **moments}

    def write(self, path: Path) -> None:
        """Stores it, whole or not at all.

        Raises:
            StoreError: It cannot be written.
        """
        said = {"format": FORMAT, "key": self.key, "step": self.step, "losses": self.losses}
        write_atomically(path, safetensors.torch.save(self.tensors, {FORMAT: json.dumps(said)}))


def read_state(path: Path, key: str) -> TrainingState | None:
    """The state that was left when the evaluation ``key`` was made; ``None`` if there is none to be used.

    It is a cache: without it, the training begins anew and ends with the same bits.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            said = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
            if said.get("format") != FORMAT or said.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return TrainingState(key, int(said["step"]), tuple(map(float, said["losses"])), tensors)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
