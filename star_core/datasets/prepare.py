"""Prepares a dataset once, before any training: split by document, joined, written whole or not at all."""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from star_core.config import Data, stated
from star_core.datasets.base import DOCUMENT_END, Corpus
from star_core.datasets.corpus import READINGS, Reading, load_corpus, load_tokenizer
from star_core.datasets.spool import Documents, Reached, Selected, Tokens, unwatched, watched
from star_core.datasets.tokenizer import VocabularyTokenizer, trained
from star_core.datasets.tokens import (
    FORMAT,
    META,
    SPLITS,
    TOKENIZER,
    VERSION,
    TokenData,
    load_tokens,
    token_type,
    write_meta,
)
from star_core.errors import DataError

MIN_TOKENS = 64
"""Below this no split of a corpus can teach or measure anything."""
PART = 1 << 22
"""Bytes that are looked at together."""
_OTHERS = 5
"""How often others may get in between."""


def prepare(
    data: Data,
    out: str | Path,
    expected: str | None = None,
    note: Callable[[str], None] = lambda _: None,
    reached: Reached = unwatched,
) -> TokenData:
    """Loads, splits and writes a dataset; the same input gives the same bytes.

    A folder that already holds exactly this is left as it is, so that programs reading it go on
    undisturbed; another prepared dataset in its place is replaced.

    Args:
        data: What to load and how much of it to hold out.
        out: Folder to write, made if missing.
        expected: Digest of the corpus that a stored run was made from: where an older way of reading the
            source gives it, the source is read so; ``None``: there is no such run.
        note: Told which files of the source are not read.
        reached: Told how far it is.

    Raises:
        DataError: The source or the tokenizer cannot be used, the text is too short, or ``out`` cannot be
            written or holds something else than prepared data.
    """
    out = Path(out)
    try:
        _check_free(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
        try:
            made, skipped = _expected(data, expected, temporary, reached)
            if skipped:
                note(skipped)
            _put(made, out, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"cannot be written ({error.strerror})",
            place=str(out),
            fix="free disk space or make the folder writable, then run the same command again",
        ) from error
    return load_tokens(out)


def _expected(data: Data, expected: str | None, folder: Path, reached: Reached) -> tuple[Path, str]:
    """The source as it is read now; or as it once was, if only that is what is expected.

    Returns:
        A folder below ``folder`` that holds it, and which files were not read, in words.
    """
    newest: tuple[Path, str] | DataError | None = None
    for number, reading in enumerate(READINGS if expected is not None else READINGS[:1]):
        found: tuple[Path, str] | DataError
        below = folder / f"reading-{number}"
        below.mkdir()
        try:
            found = below, _write(data, reading, below, reached)
            if load_tokens(below).digest == expected:
                return found
        except DataError as error:
            found = error
        newest = newest or found
    if isinstance(newest, tuple):
        return newest
    assert newest is not None
    raise newest


def _write(data: Data, reading: Reading, folder: Path, reached: Reached) -> str:
    """Writes the files of a prepared dataset; returns which files of its source were not read, in words."""
    tokenizer = load_tokenizer(data)
    corpus = load_corpus(data, reading, folder, reached)
    splits = dict(zip(SPLITS, split(corpus, data.validation_fraction, reached), strict=True))
    found = encoded(corpus, splits, data, tokenizer)
    records = {
        name: write_split(
            folder / f"{name}.bin",
            watched(found.splits[name], f"documents written, {name}", len(splits[name]), reached),
            found.separator,
            found.vocab_size,
        )
        for name in SPLITS
    }
    meta: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": data.source if isinstance(data.source, str) else ", ".join(data.source),
        "vocab_size": found.vocab_size,
        "dtype": token_type(found.vocab_size).name,
        "separator": found.separator,
        "splits": records,
        "sources": corpus.description,
        "data": stated("data", data),
    }
    if found.tokenizer is not None:
        if not all(record["tokens"] for record in records.values()):
            raise DataError(
                "the tokenizer makes no token of this text", value=data.tokenizer, place=corpus.description
            )
        meta["tokenizer"] = hashlib.sha256(found.tokenizer.definition).hexdigest()
        for name, count in found.text_bytes.items():
            records[name]["bytes"] = count
        _write_file(folder / TOKENIZER, [found.tokenizer.definition])
    _write_file(folder / META, [write_meta(meta)])
    return corpus.skipped


def write_split(
    path: Path, documents: Iterable[Tokens], separator: int | None, vocab_size: int
) -> dict[str, Any]:
    """Writes documents with ``separator`` between two of them; returns what ``meta.json`` says of them."""
    dtype, digest, counts = token_type(vocab_size), hashlib.sha256(), [0, 0]
    between = [] if separator is None else [np.array([separator], dtype)]

    def contents() -> Iterator[bytes]:
        for document in documents:
            for tokens in (*(between if counts[1] else []), document):
                counts[0] += len(tokens)
                for content in _parts(tokens, dtype):
                    digest.update(content)
                    yield content
            counts[1] += 1

    _write_file(path, contents())
    return {"tokens": counts[0], "documents": counts[1], "sha256": digest.hexdigest()}


def _parts(tokens: Tokens, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Tokens as they are stored, some at a time."""
    for at in range(0, len(tokens), PART):
        yield np.ascontiguousarray(tokens[at : at + PART], dtype).tobytes()


def _write_file(path: Path, contents: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for content in contents:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, eq=False)
class Encoded:
    """The documents of each split, as the tokens that are stored.

    Attributes:
        vocab_size: Tokens V; every token is below it.
        separator: Token put between two documents; ``None``: nothing.
        splits: Name of a split → its documents, to be gone through once.
        tokenizer: What made the tokens, if it is not known from their kind.
        text_bytes: Name of a split → bytes of its text, and one for each separator, once its documents were
            gone through; empty without tokenizer.
    """

    vocab_size: int
    separator: int | None
    splits: Mapping[str, Iterable[Tokens]]
    tokenizer: VocabularyTokenizer | None = None
    text_bytes: Mapping[str, int] = field(default_factory=dict)


def encoded(
    corpus: Corpus, splits: Mapping[str, Documents], data: Data, tokenizer: VocabularyTokenizer | None
) -> Encoded:
    """The documents in the tokens that are asked for.

    Args:
        corpus: That they are of.
        splits: Name of a split → its documents.
        data: Says whether a tokenizer is to be trained, on those of ``train``.
        tokenizer: That they are encoded with; ``None``: they stay as they are, unless one is to be trained.

    Raises:
        DataError: The documents are no text.
    """
    if corpus.tokenizer is not None and data.tokenizer == "bytes":
        known = VocabularyTokenizer(corpus.tokenizer, corpus.description)
        counts = {name: sum(_text_bytes(known, part) for part in found) for name, found in splits.items()}
        return Encoded(corpus.vocab_size, corpus.separator, splits, known, counts)
    if data.tokenizer == "bytes":
        return Encoded(corpus.vocab_size, corpus.separator, splits)
    if not corpus.is_text:
        raise DataError(
            "a tokenizer takes text, and this source is tokens already",
            value=data.tokenizer,
            place=f"data.tokenizer, {corpus.description}",
            fix="leave data.tokenizer out, or name text",
        )
    if tokenizer is None:
        tokenizer = trained(_texts(splits["train"]), data.bpe_size or 0)
    counts = dict.fromkeys(splits, -1)  # there is a separator less than documents

    def counted(name: str) -> Iterator[str]:
        for text in _texts(splits[name]):
            counts[name] += len(text.encode()) + 1
            yield text

    documents = {name: tokenizer.encode_documents(counted(name)) for name in splits}
    return Encoded(tokenizer.vocab_size, tokenizer.separator, documents, tokenizer, counts)


def _texts(documents: Documents) -> Iterator[str]:
    """Documents of bytes as texts; where a lone one was cut within a character, that is left out."""
    for document in documents:
        for content in document.tobytes().split(bytes([DOCUMENT_END])):
            if text := content.decode("utf-8", "ignore"):
                yield text


def _text_bytes(tokenizer: VocabularyTokenizer, tokens: Tokens) -> int:
    """Bytes of the text of tokens, with one for each separator in them."""
    ends = np.flatnonzero(tokens == tokenizer.separator)
    parts = (part[part != tokenizer.separator] for part in np.split(tokens, ends))
    return sum(len(tokenizer.decode(part.tolist()).encode()) for part in parts) + len(ends)


def split(corpus: Corpus, fraction: float, reached: Reached = unwatched) -> tuple[Documents, Documents]:
    """Documents to train on and documents held out: disjoint, none twice, neither side empty.

    Documents are taken in the order of their content's hash, so neither file names nor the order
    of files matter, and one is held out when that brings the held-out share nearer to
    ``fraction`` of all tokens. Texts that are equal up to white space are one document. A lone document
    is cut once: its end is held out. A source that has held out documents keeps its choice.

    Raises:
        DataError: Too short to be split.
    """
    dtype, number = token_type(corpus.vocab_size), len(corpus.documents)
    # 128 bits of a hash tell as many documents apart as there will ever be.
    hashes, words = np.zeros((number, 2), np.uint64), np.zeros((number, 2), np.uint64)
    sizes = np.zeros(number, np.int64)
    for index, document in enumerate(watched(corpus.documents, "documents hashed", number, reached)):
        sizes[index] = len(document)
        digest = hashlib.sha256()
        for part in _parts(document, dtype):
            digest.update(part)
        hashes[index] = _half(digest)
        if corpus.is_text:
            words[index] = _half(words_hash(np.ascontiguousarray(document, dtype).data))
    everyone = np.zeros(number, bool)
    everyone[list(corpus.held_out or ())] = True
    filled = np.flatnonzero(sizes)
    order, held = _first_of_equals(hashes, filled, everyone[filled])
    if corpus.is_text:
        order, held = _first_of_equals(words, order, held)
        by_hash = np.lexsort((hashes[order, 1], hashes[order, 0]))
        order, held = order[by_hash], held[by_hash]
    total = int(sizes[order].sum())
    if total < MIN_TOKENS:
        raise DataError(
            f"a corpus has at least {MIN_TOKENS} tokens",
            value=total,
            place=corpus.description,
            fix="name a source with more text",
        )
    if len(order) == 1:
        lone = corpus.documents[int(order[0])]
        cut = min(max(round(total * (1 - fraction)), 1), total - 1)
        return (lone[:cut],), (lone[cut:],)
    if corpus.held_out is None or held.all():
        held = np.array(_choose(sizes[order].tolist(), fraction * total))
    return Selected(corpus.documents, order[~held]), Selected(corpus.documents, order[held])


def _first_of_equals(
    hashes: NDArray[np.uint64], order: NDArray[np.int64], held: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of documents of equal hash the first, held out if one of them is: that must not be learnt from.

    Args:
        hashes: Of all documents.
        order: The documents in question; the first of them in this order counts.
        held: Whether each of these is held out.
    """
    if not len(order):
        return order, held
    together = np.lexsort((hashes[order, 1], hashes[order, 0]))  # stable
    sorted_hashes = hashes[order[together]]
    new = np.r_[True, (sorted_hashes[1:] != sorted_hashes[:-1]).any(1)]
    starts = np.flatnonzero(new)
    return order[together[starts]], np.logical_or.reduceat(held[together], starts)


def _half(digest: Any) -> NDArray[np.uint64]:
    return np.frombuffer(digest.digest()[:16], ">u8")


def words_hash(content: bytes | memoryview) -> Any:
    """Hash of a text that any white space between two words leaves the same; a part at a time."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")("surrogateescape")
    begun, in_word = False, False
    for at in range(0, len(content), PART):
        text = decoder.decode(content[at : at + PART], at + PART >= len(content))
        words = text.split()
        if begun and words and not (in_word and not text[0].isspace()):
            digest.update(b" ")
        digest.update(" ".join(words).encode("utf-8", "surrogateescape"))
        begun = begun or bool(words)
        in_word = not text[-1:].isspace() if text else in_word
    return digest


def _choose(sizes: Sequence[int], target: float) -> list[bool]:
    chosen, taken, number = [False] * len(sizes), 0, 0
    for index, size in enumerate(sizes):
        if taken + size / 2 <= target and number < len(sizes) - 1:
            chosen[index] = True
            taken += size
            number += 1
    if not any(chosen):
        chosen[sizes.index(min(sizes))] = True
    return chosen


def _put(made: Path, out: Path, temporary: Path) -> None:
    """Moves a folder to ``out``: a reader, or a crash, meets the old folder, the new, or none.

    Of several processes that do so at once, the first that comes to its end has done it for all.
    """
    new = made.rename(temporary / "new")
    for others in reversed(range(_OTHERS + 1)):
        try:
            if _holds(out, new):
                return
            if out.exists():
                out.rename(temporary / f"old-{others}")
            new.rename(out)
            return
        except OSError as error:
            if not others or error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise


def _holds(out: Path, new: Path) -> bool:
    """Whether a folder already has just the content of another."""
    _check_free(out)
    if not out.is_dir():
        return False
    names = {path.name for path in new.iterdir()}
    return {path.name for path in out.iterdir()} == names and all(
        _same(out / name, new / name) for name in names
    )


def _same(first: Path, second: Path) -> bool:
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while part := one.read(PART):
            if part != other.read(PART):
                return False
    return True


def _check_free(out: Path) -> None:
    """Raises ``DataError`` if a folder has something that was not prepared here, and must not be deleted."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError("prepared data is a folder", place=str(out), fix="name another folder")
    others = {path.name for path in out.iterdir()} - {META, TOKENIZER, *(f"{name}.bin" for name in SPLITS)}
    if others:
        raise DataError(
            "the folder holds other files, which would be deleted",
            value=sorted(others),
            place=str(out),
            fix="name an empty or new folder",
        )
