"""Trained weights in one safetensors file that says what they are the weights of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.errors import StarError, StoreError
from star_core.genome import Genome
from star_core.genome.space import reading_space
from star_core.storage.files import write_atomically
from star_core.storage.weights import FORMAT, read_metadata

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights and the architecture they belong to.

    Attributes:
        architecture: Compiled anew from the genome in the file.
        tensors: By parameter or buffer name; a tied weight is there once.
        metadata: The file's: genome, space, width, head_dim, vocab_size, digest and what the
            writer added.
    """

    architecture: Architecture
    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    def restore(self, model: nn.Module) -> None:
        """Copies the weights into a model of this architecture.

        Raises:
            StoreError: The model has other weights.
        """
        target = owned_tensors(model)
        if set(target) != set(self.tensors):
            raise StoreError(
                "the checkpoint has the model's weights",
                value=sorted(set(target) ^ set(self.tensors))[:5],
                place="checkpoint",
            )
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                if target[name].shape != tensor.shape:
                    raise StoreError("weights of the model's shape", value=tuple(tensor.shape), place=name)
                target[name].copy_(tensor)


def owned_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Everything that ``state_dict`` keeps, each tensor once, under its first name."""
    seen: set[int] = set()
    owned = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            owned[name] = tensor.detach()
    return owned


def save_checkpoint(
    path: Path, model: nn.Module, architecture: Architecture, space: str, extra: dict[str, str]
) -> None:
    """Writes a checkpoint, whole or not at all.

    Raises:
        StoreError: It cannot be written.
    """
    metadata = {
        **extra,
        "format": FORMAT,
        "version": VERSION,
        "genome": str(architecture.genome),
        "space": space,
        "width": str(architecture.width),
        "head_dim": str(architecture.dims.head_dim),
        "vocab_size": str(architecture.vocab_size),
        "digest": architecture.digest,
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in owned_tensors(model).items()}
    # In one entry: safetensors writes several in an order that changes from process to process.
    write_atomically(path, safetensors.torch.save(tensors, {FORMAT: json.dumps(metadata, sort_keys=True)}))


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint; pure data, nothing in it is executed.

    Raises:
        StoreError: The file is missing, malformed, of another version, or its weights are of another
            architecture than its genome compiles to.
    """
    place = str(path)
    try:
        with safe_open(place, framework="pt") as file:
            metadata = read_metadata(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise StoreError(f"cannot be read ({error})", place=place, fix="train it again") from error
    if (metadata.get("format"), metadata.get("version")) != (FORMAT, VERSION):
        raise StoreError(
            f"a {FORMAT} of version {VERSION}",
            value=json.dumps(metadata)[:80],
            place=place,
            fix="train it again",
        )
    try:
        space = reading_space(metadata["space"])
        width, head_dim, vocab_size = (int(metadata[name]) for name in ("width", "head_dim", "vocab_size"))
        architecture = compile_genome(Genome.parse(metadata["genome"]), space, width, head_dim, vocab_size)
    except StarError as error:
        raise error.at(place) from None
    except (KeyError, ValueError) as error:
        raise StoreError(f"incomplete metadata ({error!r})", place=place, fix="train it again") from error
    if architecture.digest != metadata.get("digest"):
        raise StoreError(
            "its genome compiles to another architecture than it was trained as",
            value=metadata.get("digest"),
            place=place,
            fix="train it again with this version",
        )
    return Checkpoint(architecture, tensors, metadata)
