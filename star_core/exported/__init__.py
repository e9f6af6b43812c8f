"""A trained model as a folder of its own, of use without the run it comes from.

genome.json           what the model is: genome, size, tokens, digests (``manifest``)
weights.safetensors   its weights
README.md             how to load it
program.pt2           its forward pass as a torch.export program, where asked for (``program``)
"""

from star_core.exported.folder import Exported, export_model, load_exported
from star_core.exported.manifest import Manifest

__all__ = ["Exported", "Manifest", "export_model", "load_exported"]
