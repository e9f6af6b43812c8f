"""Prepares a dataset once, before any training: split by document, joined, written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from star_core.config import Data, stated
from star_core.datasets.base import DOCUMENT_END, Corpus, Tokens
from star_core.datasets.corpus import READINGS, Reading, load_corpus, load_tokenizer
from star_core.datasets.tokenizer import VocabularyTokenizer, trained
from star_core.datasets.tokens import (
    FORMAT,
    META,
    SPLITS,
    TOKENIZER,
    VERSION,
    TokenData,
    content_digest,
    load_tokens,
    sha256,
    token_type,
    write_meta,
)
from star_core.errors import DataError

MIN_TOKENS = 64
"""Below this no split of a corpus can teach or measure anything."""
_OTHERS = 5
"""How often others may get in between."""


def prepare(
    data: Data,
    out: str | Path,
    expected: str | None = None,
    note: Callable[[str], None] = lambda _: None,
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

    Raises:
        DataError: The source or the tokenizer cannot be used, the text is too short, or ``out`` cannot be
            written or holds something else than prepared data.
    """
    found = _expected(data, expected)
    if found.skipped:
        note(found.skipped)
    _write_folder(Path(out), found.files)
    return load_tokens(out)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """What is to be written.

    Attributes:
        files: Name → content.
        digest: As ``TokenData.digest``.
        skipped: Which files of the source were not read, in words.
    """

    files: Mapping[str, bytes]
    digest: str
    skipped: str


def _expected(data: Data, expected: str | None) -> _Prepared:
    """The source as it is read now; or as it once was, if only that is what is expected."""
    newest: _Prepared | DataError | None = None
    for reading in READINGS if expected is not None else READINGS[:1]:
        found: _Prepared | DataError
        try:
            found = _prepared(data, reading)
            if found.digest == expected:
                return found
        except DataError as error:
            found = error
        newest = newest or found
    if isinstance(newest, _Prepared):
        return newest
    assert newest is not None
    raise newest


def _prepared(data: Data, reading: Reading) -> _Prepared:
    tokenizer = load_tokenizer(data)
    corpus = load_corpus(data, reading)
    splits = dict(zip(SPLITS, split(corpus, data.validation_fraction), strict=True))
    found = encoded(corpus, splits, data, tokenizer)
    joined = {
        name: join(documents, found.separator, found.vocab_size) for name, documents in found.splits.items()
    }
    meta: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": data.source if isinstance(data.source, str) else ", ".join(data.source),
        "vocab_size": found.vocab_size,
        "dtype": token_type(found.vocab_size).name,
        "separator": found.separator,
        "splits": {
            name: {"tokens": len(joined[name]), "documents": len(documents), "sha256": sha256(joined[name])}
            for name, documents in found.splits.items()
        },
        "sources": corpus.description,
        "data": stated("data", data),
    }
    files = {f"{name}.bin": joined[name].tobytes() for name in SPLITS}
    hashes = {name: meta["splits"][name]["sha256"] for name in SPLITS}
    if found.tokenizer is not None:
        meta["tokenizer"] = hashes["tokenizer"] = hashlib.sha256(found.tokenizer.definition).hexdigest()
        for name, count in found.text_bytes.items():
            meta["splits"][name]["bytes"] = count
        files[TOKENIZER] = found.tokenizer.definition
    digest = content_digest(found.vocab_size, hashes)
    return _Prepared(files | {META: write_meta(meta)}, digest, corpus.skipped)


@dataclass(frozen=True, eq=False)
class Encoded:
    """The documents of each split, as the tokens that are stored.

    Attributes:
        vocab_size: Tokens V; every token is below it.
        separator: Token put between two documents; ``None``: nothing.
        splits: Name of a split → its documents.
        tokenizer: What made the tokens, if it is not known from their kind.
        text_bytes: Name of a split → bytes of its text, and one for each separator; empty without tokenizer.
    """

    vocab_size: int
    separator: int | None
    splits: Mapping[str, Sequence[Tokens]]
    tokenizer: VocabularyTokenizer | None = None
    text_bytes: Mapping[str, int] = field(default_factory=dict)


def encoded(
    corpus: Corpus, splits: Mapping[str, Sequence[Tokens]], data: Data, tokenizer: VocabularyTokenizer | None
) -> Encoded:
    """The documents in the tokens that are asked for.

    Args:
        corpus: That they are of.
        splits: Name of a split → its documents.
        data: Says whether a tokenizer is to be trained, on those of ``train``.
        tokenizer: That they are encoded with; ``None``: they stay as they are, unless one is to be trained.

    Raises:
        DataError: The documents are no text, or no token comes of them.
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
    documents, counts = {}, {}
    for name in splits:
        texts = list(_texts(splits[name]))
        documents[name] = list(tokenizer.encode_documents(texts))
        counts[name] = sum(len(text.encode()) for text in texts) + len(texts) - 1
        if not any(map(len, documents[name])):
            raise DataError(
                "the tokenizer makes no token of this text", value=data.tokenizer, place=corpus.description
            )
    return Encoded(tokenizer.vocab_size, tokenizer.separator, documents, tokenizer, counts)


def _texts(documents: Sequence[Tokens]) -> Iterator[str]:
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


def split(corpus: Corpus, fraction: float) -> tuple[list[Tokens], list[Tokens]]:
    """Documents to train on and documents held out: disjoint, none twice, neither side empty.

    Documents are taken in the order of their content's hash, so neither file names nor the order
    of files matter, and one is held out when that brings the held-out share nearer to
    ``fraction`` of all tokens. Texts that are equal up to white space are one document. A lone document
    is cut once: its end is held out. A source that has held out documents keeps its choice.

    Raises:
        DataError: Too short to be split.
    """
    unique: dict[bytes, tuple[Tokens, bool]] = {}
    for index, document in enumerate(corpus.documents):
        if len(document):
            held = corpus.held_out is not None and index in corpus.held_out
            content = np.ascontiguousarray(document, token_type(corpus.vocab_size)).tobytes()
            key = hashlib.sha256(content).digest()
            # A document on both sides stays on the side that must not be learnt from.
            unique[key] = (document, held or unique.get(key, (document, False))[1])
    if corpus.is_text:
        unique = _without_spaced(unique)
    total = sum(len(document) for document, _ in unique.values())
    if total < MIN_TOKENS:
        raise DataError(
            f"a corpus has at least {MIN_TOKENS} tokens",
            value=total,
            place=corpus.description,
            fix="name a source with more text",
        )
    documents = [unique[key][0] for key in sorted(unique)]
    if len(documents) == 1:
        cut = min(max(round(total * (1 - fraction)), 1), total - 1)
        return [documents[0][:cut]], [documents[0][cut:]]
    held_out = [unique[key][1] for key in sorted(unique)]
    if corpus.held_out is None or all(held_out):
        held_out = _choose([len(document) for document in documents], fraction * total)
    train = [document for document, held in zip(documents, held_out, strict=True) if not held]
    return train, [document for document, held in zip(documents, held_out, strict=True) if held]


def _without_spaced(unique: dict[bytes, tuple[Tokens, bool]]) -> dict[bytes, tuple[Tokens, bool]]:
    """One of those texts that differ in white space only: the first, held out if one of them is."""
    first: dict[bytes, bytes] = {}
    kept: dict[bytes, tuple[Tokens, bool]] = {}
    for key in sorted(unique):
        document, held = unique[key]
        words = " ".join(np.asarray(document, np.uint8).tobytes().decode("utf-8", "surrogateescape").split())
        chosen = first.setdefault(hashlib.sha256(words.encode("utf-8", "surrogateescape")).digest(), key)
        kept[chosen] = (kept.get(chosen, (document, held))[0], held or kept.get(chosen, (document, held))[1])
    return kept


def _choose(sizes: Sequence[int], target: float) -> list[bool]:
    chosen, taken = [False] * len(sizes), 0
    for index, size in enumerate(sizes):
        if taken + size / 2 <= target and sum(chosen) < len(sizes) - 1:
            chosen[index] = True
            taken += size
    if not any(chosen):
        chosen[sizes.index(min(sizes))] = True
    return chosen


def join(documents: Sequence[Tokens], separator: int | None, vocab_size: int) -> Tokens:
    """One row of tokens, with ``separator`` between two documents."""
    dtype = token_type(vocab_size)
    between = [] if separator is None else [np.array([separator], dtype)]
    parts: list[Tokens] = []
    for document in documents:
        parts += between if parts else []
        parts.append(document.astype(dtype, copy=False))
    return np.concatenate(parts)


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Puts exactly these files at ``out``: a reader, or a crash, meets the old folder, the new, or none.

    Of several processes that do so at once, the first that comes to its end has done it for all.
    """
    try:
        for others in reversed(range(_OTHERS + 1)):
            try:
                if not _holds(out, files):
                    _replace_folder(out, files)
                return
            except OSError as error:
                if not others or error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise
    except OSError as error:
        raise DataError(
            f"cannot be written ({error.strerror})",
            place=str(out),
            fix="free disk space or make the folder writable, then run the same command again",
        ) from error


def _replace_folder(out: Path, files: Mapping[str, bytes]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    try:
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        for name, content in files.items():
            with (new / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _holds(out: Path, files: Mapping[str, bytes]) -> bool:
    """Whether ``out`` already has just this content.

    Raises:
        DataError: It has something that was not prepared here, and must not be deleted.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise DataError("prepared data is a folder", place=str(out), fix="name another folder")
    found = {path.name for path in out.iterdir()}
    if found - set(files):
        raise DataError(
            "the folder holds other files, which would be deleted",
            value=sorted(found - set(files)),
            place=str(out),
            fix="name an empty or new folder",
        )
    return found == set(files) and all(
        (out / name).read_bytes() == content for name, content in files.items()
    )
