"""Between text and tokens: its bytes, or a vocabulary that the ``tokenizers`` package reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np

from star_core.config.candidate import BPE, MAX_VOCABULARY
from star_core.datasets.base import DOCUMENT_END
from star_core.datasets.spool import Tokens
from star_core.errors import DataError

PIECE = 1 << 18
"""Characters that are encoded at once; longer texts are cut behind a line, if they have any."""
LEARNT_BYTES = 256 << 20
"""Of text that a tokenizer is trained on; what comes behind is left out."""
_BATCH = 16
_END = "<|endoftext|>"
_ENDS = (_END, "<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<|eot_id|>", "<|im_end|>", "[SEP]")
"""Names of the token between documents, in the vocabularies of well-known models."""


class Tokenizer(Protocol):
    """What makes tokens of text, and text of tokens.

    Attributes:
        separator: Token between two documents.
    """

    separator: int

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without any that marks where it begins or ends."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without separators."""
        ...


class ByteTokenizer:
    """Tokens are the bytes of UTF-8 text, documents are separated by byte 0."""

    separator = DOCUMENT_END

    def encode(self, text: str) -> list[int]:
        """The bytes of a text; half of a surrogate pair becomes a question mark."""
        return list(text.encode("utf-8", "replace"))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of bytes; what is no UTF-8, such as half of a character, becomes U+FFFD."""
        return bytes(token for token in tokens if token != DOCUMENT_END).decode("utf-8", "replace")


class VocabularyTokenizer:
    """A tokenizer with a vocabulary of its own.

    Args:
        definition: Content of ``tokenizer.json``, as ``adopted`` or ``trained`` made it.
        place: Where it is from, for messages.

    Attributes:
        definition: The same.
        vocab_size: One above the largest token.
        end: How the token between documents is written.

    Raises:
        DataError: It is no tokenizer, has no token between documents, or too many tokens.
    """

    def __init__(self, definition: bytes, place: str) -> None:
        self.definition = definition
        self._tokenizer = _parse(definition, place)
        self._tokenizer.encode_special_tokens = True  # a text that names one does not hold one
        known = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocab_size = max(known.values(), default=0) + 1
        ends = [name for name in _ENDS if name in known]
        if not ends or not 2 <= self.vocab_size <= MAX_VOCABULARY:
            raise DataError(
                f"a tokenizer has from 2 to {MAX_VOCABULARY:,} tokens, one of them between documents",
                value=self.vocab_size,
                place=place,
                fix="use another one",
            )
        self.end = ends[0]
        self.separator = known[self.end]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text; half of a surrogate pair becomes a question mark."""
        clean = text.encode("utf-8", "replace").decode()
        return list(self._tokenizer.encode(clean, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens, without separators and other tokens that are no text."""
        return str(self._tokenizer.decode(list(tokens)))

    def encode_documents(self, texts: Iterable[str]) -> Iterator[Tokens]:
        """The tokens of each text, encoded in pieces of at most ``PIECE`` characters, many at once."""
        found: list[Tokens] = []
        pieces = ((piece, last) for text in texts for piece, last in _with_last(cut(text)))
        while batch := list(islice(pieces, _BATCH)):
            encoded = self._tokenizer.encode_batch_fast([text for text, _ in batch], add_special_tokens=False)
            for (_, last), encoding in zip(batch, encoded, strict=True):
                found.append(np.array(encoding.ids, np.uint32))
                if last:
                    yield np.concatenate(found)
                    found = []


def cut(text: str) -> Iterator[str]:
    """A text in pieces of at most ``PIECE`` characters, each but the last ending with a line if one does."""
    start = 0
    while len(text) - start > PIECE:
        end = text.rfind("\n", start, start + PIECE) + 1 or start + PIECE
        yield text[start:end]
        start = end
    yield text[start:]


def _first(texts: Iterable[str], most: int) -> Iterator[str]:
    """Pieces of texts until they have so many bytes."""
    for text in texts:
        for piece in cut(text):
            yield piece
            most -= len(piece.encode())
            if most <= 0:
                return


def _with_last(pieces: Iterator[str]) -> Iterator[tuple[str, bool]]:
    before = next(pieces)
    for piece in pieces:
        yield before, False
        before = piece
    yield before, True


def adopted(content: bytes, place: str) -> VocabularyTokenizer:
    """A user's ``tokenizer.json``, which gets a token between documents if it has none.

    What it would add to every text, cut off, or fill up with is left out of it.

    Raises:
        DataError: It is no tokenizer, or has too many tokens.
    """
    tokenizer = _parse(content, place)
    if not any(tokenizer.token_to_id(name) is not None for name in _ENDS):
        tokenizer.add_special_tokens([_END])
    return VocabularyTokenizer(_definition(tokenizer), place)


def trained(texts: Iterable[str], vocab_size: int) -> VocabularyTokenizer:
    """Byte-pair encoding of texts: the same texts give the same tokens.

    It begins with all bytes, so no text is unknown to it; short texts give fewer tokens than are asked for.
    Of long ones the first ``LEARNT_BYTES`` are enough.

    Args:
        texts: To be trained on.
        vocab_size: Tokens, of which one stands between documents.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    tokenizer = Library(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_first(texts, LEARNT_BYTES), trainer)
    return VocabularyTokenizer(_definition(tokenizer), f"{BPE}{vocab_size}")


def _definition(tokenizer: Any) -> bytes:
    content = json.loads(tokenizer.to_str())
    content |= dict.fromkeys(("truncation", "padding", "post_processor"))
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def _parse(content: bytes, place: str) -> Any:
    from tokenizers import Tokenizer as Library

    try:
        return Library.from_str(content.decode())
    except BaseException as error:
        # The library raises bare exceptions, and panics, of which Python's are no subclass of Exception.
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"not a tokenizer.json of the tokenizers package ({reason})",
            place=place,
            fix="name the file tokenizer.json of a Hugging Face tokenizer, or use bpe:8192 or bytes",
        ) from error
