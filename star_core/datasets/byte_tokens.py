"""Text as the tokens of a byte corpus, and back."""

from __future__ import annotations

from collections.abc import Sequence

from star_core.datasets.base import BYTE_VOCABULARY, DOCUMENT_END


def is_byte_corpus(vocab_size: int, separator: int | None) -> bool:
    """Whether tokens of this kind are the bytes of UTF-8 text, documents separated by byte 0."""
    return (vocab_size, separator) == (BYTE_VOCABULARY, DOCUMENT_END)


def encode(text: str) -> list[int]:
    """The bytes of a text; half of a surrogate pair becomes a question mark."""
    return list(text.encode("utf-8", "replace"))


def decode(tokens: Sequence[int]) -> str:
    """The text of bytes; what is no UTF-8, such as half of a character, becomes U+FFFD."""
    return bytes(tokens).decode("utf-8", "replace")
