"""A dataset that is made, not read: sums in digits."""

from __future__ import annotations

from pydantic import Field

from star_core.config import Data, Section
from star_core.datasets.base import Corpus, Dataset, byte_corpus, register

NAME = "sums"


class Sums(Section):
    """Settings, which stand in ``params.yaml`` under ``data.sums``.

    Attributes:
        largest: Largest number that is added.
        documents: Number of documents, each with the sums of one number.
    """

    largest: int = Field(default=99, ge=1)
    documents: int = Field(default=40, ge=2)


def load(data: Data) -> Corpus:
    """One document a number: its sums with all others."""
    settings = data.settings_of(NAME, Sums)
    return byte_corpus(
        (
            "\n".join(f"{a}+{b}={a + b}" for b in range(settings.largest + 1))
            for a in range(settings.documents)
        ),
        f"sums of numbers up to {settings.largest}",
    )


SUMS = register(Dataset(NAME, "sums in digits", load, Sums))
