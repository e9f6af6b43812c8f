"""Models: a compiled architecture as a trainable, cached language model."""

from star_core.models.cache import Cache
from star_core.models.language_model import LanguageModel, build_model

__all__ = ["Cache", "LanguageModel", "build_model"]
