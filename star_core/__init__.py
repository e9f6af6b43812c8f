"""STAR: synthesis of tailored architectures (arXiv 2411.17800), open and reproducible.

The search half (genome, compiler, population, evolution) is imported without torch;
``build_model`` and ``load_exported`` load the model half on first use.
"""

from typing import TYPE_CHECKING

from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.genome import Genome, SearchSpace

if TYPE_CHECKING:
    from star_core.exported import load_exported
    from star_core.models import build_model

__version__ = "0.1.0"
__all__ = ["Architecture", "Genome", "SearchSpace", "build_model", "compile_genome", "load_exported"]


def __getattr__(name: str) -> object:
    if name == "build_model":
        from star_core.models import build_model

        return build_model
    if name == "load_exported":
        from star_core.exported import load_exported

        return load_exported
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
