"""The model as this package reads it: genome and safetensors."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from star_core.errors import StoreError
from star_core.exported.format import EXPORT_FORMATS, ExportFormat, Trained
from star_core.exported.manifest import EXPORT_AGAIN, WEIGHTS, Manifest

if TYPE_CHECKING:
    from star_core.graphs.runner import Model

_GUIDE = """\
Needs STAR {star}, or a version that reads semantics version {semantics}: `pip install .` in a clone of it.

```python
from star_core import load_exported

exported = load_exported("{folder}")  # this folder; every digest is checked
{use}
```

`exported.model` is a `torch.nn.Module`: int64 tokens (batch, length) to logits (batch, length, {vocabulary}).
`prefill`, `step` and `generate` decode with a cache.
"""
_TEXT = 'print(exported.generate("In the beginning", new_tokens=200))'
_IDS = "tokens = exported.model.generate(torch.tensor([[1, 2, 3]]), new_tokens=200)  # import torch"


class Torch(ExportFormat):
    """A copy of the checkpoint, at the top of the folder."""

    name = "torch"
    title = "PyTorch, weights as safetensors"
    needs = "this package"
    at_top = True

    def write(self, folder: Path, trained: Trained, precisions: Sequence[str]) -> None:
        """Copies the checkpoint."""
        shutil.copyfile(trained.weights, folder / WEIGHTS)

    def check(self, folder: Path, trained: Trained) -> str | None:
        """Every tensor is that of the model."""
        from star_core.training.checkpoint import load_checkpoint, owned_tensors

        found, own = load_checkpoint(folder / WEIGHTS).tensors, owned_tensors(trained.model)
        if found.keys() != own.keys() or not all(found[name].equal(own[name]) for name in own):
            raise StoreError(
                "these weights are not the model's", place=str(folder / WEIGHTS), fix=EXPORT_AGAIN
            )
        return None

    def decoder(self, folder: Path, manifest: Manifest, length: int, precision: str | None) -> Model:
        """A cache as long as the sequence."""
        from star_core.exported.decoder import TorchDecoder
        from star_core.exported.folder import restored

        return TorchDecoder(restored(folder, manifest), length)

    def guide(self, manifest: Manifest, folder: str) -> str:
        """Loading it with this package."""
        return _GUIDE.format(
            star=manifest.star,
            semantics=manifest.semantics,
            folder=folder,
            use=_TEXT if manifest.tokens.are_text else _IDS,
            vocabulary=manifest.vocab_size,
        )


EXPORT_FORMATS.add(Torch.name, Torch())
