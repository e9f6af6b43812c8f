"""A trained model as a folder of its own, of use without the run it comes from.

genome.json           what the model is: genome, size, tokens, digests of the files below (``manifest``)
README.md             its card: where it comes from, how to run each format (``card``)
weights.safetensors   its weights, as this package reads them
program.pt2           its forward pass as a torch.export program, where asked for (``program``)
onnx/, hf/, …         other formats, one folder each, each of use by itself (``formats``)
"""

from typing import TYPE_CHECKING

from star_core.exported.manifest import Manifest

if TYPE_CHECKING:
    from star_core.exported.folder import Exported, export_model, load_exported

__all__ = ["Exported", "Manifest", "export_model", "load_exported"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from star_core.exported import folder  # imports torch, which formats that are only asked do not need

        return getattr(folder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
