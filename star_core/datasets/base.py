"""What a dataset is: a name and a function that yields documents of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from star_core.config import Data, Section
from star_core.datasets.spool import Documents, Spool
from star_core.datasets.spool import Tokens as Tokens
from star_core.errors import DataError
from star_core.registry import Registry

BYTE_VOCABULARY = 256
DOCUMENT_END = 0
"""Byte 0 separates documents of text: it occurs in no text, so a model can tell where one ends."""


def is_byte_corpus(vocab_size: int, separator: int | None) -> bool:
    """Whether tokens of this kind are the bytes of UTF-8 text, documents separated by byte 0."""
    return (vocab_size, separator) == (BYTE_VOCABULARY, DOCUMENT_END)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents before they are split and joined.

    Attributes:
        vocab_size: Tokens V; every token is below it.
        documents: Token ids, one array per document.
        separator: Token put between two documents; ``None``: nothing.
        held_out: Documents that are validation data by the source's own choice (indices); ``None``
            lets ``prepare`` choose.
        description: Where it comes from, for people.
        tokenizer: What made the tokens, content of a ``tokenizer.json``; ``None``: none that is known.
        skipped: Which files of its folders were not read, in words; empty if all were.
    """

    vocab_size: int
    documents: Documents
    separator: int | None
    description: str
    held_out: frozenset[int] | None = None
    tokenizer: bytes | None = None
    skipped: str = ""

    @property
    def is_text(self) -> bool:
        """Whether its documents are the bytes of UTF-8 text."""
        return is_byte_corpus(self.vocab_size, self.separator)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A corpus with a name that ``data.source`` may give.

    Attributes:
        name: As in ``params.yaml``.
        title: One line for people.
        load: Reads or makes the corpus, from the data section of the parameters.
        settings: The section of parameters it has under its name, which ``load`` reads with
            ``data.settings_of(name, settings)``; ``None``: none.
        licence: Of the data, for the card of a model; ``None``: not known.
    """

    name: str
    title: str
    load: Callable[[Data], Corpus]
    settings: type[Section] | None = None
    licence: str | None = None


def byte_corpus(texts: Iterable[str], description: str, folder: Path | None = None) -> Corpus:
    """A corpus of texts as their UTF-8 bytes, separated by byte 0; blank texts are left out.

    Args:
        texts: One by one; they need not fit in memory together.
        description: Where they come from, for people.
        folder: Where temporary files are made; ``None``: where the system has them.

    Raises:
        DataError: A text holds a NUL character or half of a surrogate pair.
    """
    documents = Spool(np.dtype(np.uint8), folder)
    for text in texts:
        if not text or text.isspace():
            continue
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                "text is valid Unicode",
                value=text[error.start : error.start + 1],
                place=description,
                fix="remove the lone surrogate",
            ) from error
        if DOCUMENT_END in content:
            raise DataError(
                "text holds no NUL character",
                value=text[max(0, text.index("\0") - 20) :][:40],
                place=description,
                fix="leave binary files out",
            )
        documents.append(np.frombuffer(content, np.uint8))
    return Corpus(BYTE_VOCABULARY, documents, DOCUMENT_END, description)


DATASETS: Registry[Dataset] = Data.plugins


def register(entry: Dataset) -> Dataset:
    """Makes a dataset known by its name; called once, in the file that defines it.

    Raises:
        StarError: It is no dataset, its name is taken, or a setting has no default.
    """
    if not isinstance(entry, Dataset):
        raise DataError("what is registered is a Dataset", value=entry, fix="see docs/extending.md")
    return Data.add_plugin(entry.name, entry, entry.settings)


def dataset_names() -> tuple[str, ...]:
    """Names of all datasets: files here and packages with a ``star.datasets`` entry point."""
    return DATASETS.names()


def dataset(name: str) -> Dataset:
    """The dataset of this name.

    Raises:
        DataError: There is none.
    """
    return DATASETS[name]


def licence_of(source: str) -> str | None:
    """The licence of a corpus that ``data.source`` names, as its dataset states it; ``None``: not stated."""
    return DATASETS[source].licence if source in dataset_names() else None
