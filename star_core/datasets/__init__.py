"""From text or token files to a prepared folder of tokens. Nothing here imports torch."""

from star_core.datasets.base import Corpus, Dataset, dataset, dataset_names, register
from star_core.datasets.prepare import prepare
from star_core.datasets.tokens import TokenData, load_tokens

__all__ = [
    "Corpus",
    "Dataset",
    "TokenData",
    "dataset",
    "dataset_names",
    "load_tokens",
    "prepare",
    "register",
]
