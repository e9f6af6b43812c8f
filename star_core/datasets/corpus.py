"""Documents from what ``data.source`` names: datasets, text of any kind, or shards of ready-made tokens."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from star_core.config import MAX_VOCABULARY, Data
from star_core.datasets.base import Corpus, Tokens, byte_corpus, dataset, dataset_names
from star_core.datasets.readers import FIRST_SUFFIXES, SUFFIXES, texts
from star_core.datasets.sources import File, Found, find, join_path, locate, read, told, unreadable
from star_core.datasets.split_by_name import part_of, split_by_name
from star_core.datasets.spool import Reached, Spool, unwatched, watched
from star_core.datasets.tokenizer import VocabularyTokenizer, adopted
from star_core.datasets.tokens import FORMAT, META, TOKENIZER, check_meta, token_type
from star_core.errors import DataError, StoreError, is_whole, nearest
from star_core.storage.files import parse_json

_BLOCK = 1 << 22
SHARD_SUFFIXES = (".bin", ".npy")
_KINDS = (
    "text (.txt, .md, source code, .jsonl, .csv, .parquet, .arrow, each also .gz or .zst), or token shards "
    f'({", ".join(SHARD_SUFFIXES)} beside a {META} that says {{"vocab_size": 50257}})'
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What of a source is read; it has grown, and what was prepared before is still prepared so.

    Attributes:
        suffixes: How the names of files of text end.
        separators: Whether the ``meta.json`` of token shards may name a token that ends documents.
    """

    suffixes: tuple[str, ...]
    separators: bool


READINGS = (Reading(SUFFIXES, True), Reading(FIRST_SUFFIXES, False))
"""The newest first."""


def load_corpus(
    data: Data, reading: Reading = READINGS[0], folder: Path | None = None, reached: Reached = unwatched
) -> Corpus:
    """What ``data.source`` names: a dataset by name, or files, folders, globs and URLs.

    Args:
        data: The section.
        reading: What of it is read.
        folder: Where temporary files are made; ``None``: where the system has them.
        reached: Told how many files are read.

    Raises:
        DataError: Nothing there, unreadable, malformed, or text mixed with token shards.
    """
    sources = [data.source] if isinstance(data.source, str) else list(data.source)
    if not sources or not all(sources):
        raise DataError("at least one source", value=data.source, place="data.source", fix="use kjv")
    named = [entry for entry in sources if entry in dataset_names()]
    shards = [entry for entry in sources if entry not in named and _has_shards(entry)]
    text = [entry for entry in sources if entry not in named and entry not in shards]
    corpora = [dataset(name).load(data) for name in named]
    corpora += [load_shards(entry, len(sources) == 1, reading, folder) for entry in shards]
    if text:
        corpora.append(
            load_text_documents(text, len(text) == len(sources), data.text_key, reading, folder, reached)
        )
    return corpora[0] if len(corpora) == 1 else _merge(corpora, sources, folder)


def _merge(corpora: list[Corpus], sources: list[str], folder: Path | None) -> Corpus:
    """Several corpora of one vocabulary as one.

    Raises:
        DataError: Their tokens do not mean the same, or one has a split of its own.
    """
    first = corpora[0]
    for corpus in corpora:
        same = [(made.vocab_size, made.separator, made.tokenizer) for made in (corpus, first)]
        if same[0] != same[1] or corpus.held_out is not None:
            raise DataError(
                "only sources of the same kind of tokens, without a split of their own, can be joined",
                value=corpus.description,
                place="data.source",
                fix=f"use one of them alone: {', '.join(sources)}",
            )
    documents = Spool(token_type(first.vocab_size), folder)
    for corpus in corpora:
        for document in corpus.documents:
            documents.append(document)
    description = "; ".join(corpus.description for corpus in corpora)
    skipped = "; ".join(filter(None, (corpus.skipped for corpus in corpora)))
    return Corpus(first.vocab_size, documents, first.separator, description, None, first.tokenizer, skipped)


def load_tokenizer(data: Data) -> VocabularyTokenizer | None:
    """The tokenizer that ``data.tokenizer`` names a file of; ``None``: it names none.

    Raises:
        DataError: There is no such file, or it is no tokenizer.
    """
    if data.tokenizer == "bytes" or data.bpe_size is not None:
        return None
    files, path = locate(data.tokenizer)
    try:
        if not files.isfile(path):
            raise DataError(
                "no such file; a tokenizer is bytes, bpe:8192 (trained on your text), or a tokenizer.json",
                value=data.tokenizer,
                place="data.tokenizer",
                fix=nearest(data.tokenizer, ("bytes", "bpe:8192")),
            )
    except (OSError, ValueError, ImportError) as error:
        raise unreadable(data.tokenizer, error) from error
    file = File(files, path, "", "://" in data.tokenizer)
    return adopted(read(file), file.place)


def load_text_documents(
    source: str | list[str],
    alone: bool = True,
    text_key: str = "text",
    reading: Reading = READINGS[0],
    folder: Path | None = None,
    reached: Reached = unwatched,
) -> Corpus:
    """Text files as documents of UTF-8 bytes: one per file, or per record of a table.

    Files that are validation or test data by their names are held out (``split_by_name``).

    Args:
        source: Files, folders (searched deeply), globs or fsspec URLs. What exists is no pattern.
        alone: Whether there is no other source beside them.
        text_key: Field of a record that is its text.
        reading: Which files are read.
        folder: Where temporary files are made; ``None``: where the system has them.
        reached: Told how many files are read.

    Raises:
        DataError: A source is missing or holds no text file; a file is unreadable, not UTF-8 or not
            as described, or its name is ambiguous. Names the file and line.
    """
    sources = [source] if isinstance(source, str) else list(source)
    found = [find(entry, reading.suffixes, _KINDS) for entry in sources]
    files = {file.place: file for entry in found for file in entry.files}.values()
    several = not alone or len({file.folder for file in files} - {""}) > 1
    names = [file.named if several else file.name for file in files]
    by_name = split_by_name(names)
    held = bytearray()
    blank: list[str] = []

    def read_texts() -> Iterator[str]:
        named = zip(files, names, strict=True)
        for file, name in watched(named, "files read", len(files), reached):
            if name not in by_name.left_out:
                before = len(held)
                for text in texts(file, text_key):
                    if not text or text.isspace():
                        continue
                    held.append(name in by_name.held_out)
                    yield text
                if len(held) == before:
                    blank.append(file.name)

    corpus = byte_corpus(read_texts(), ", ".join(sources), folder)
    corpus = replace(corpus, skipped=_skipped(found, blank))
    held_out = frozenset(np.flatnonzero(held).tolist())
    if not held_out or (alone and all(held)):
        return corpus
    return replace(corpus, held_out=held_out, description=corpus.description + by_name.note)


def _skipped(found: list[Found], blank: list[str]) -> str:
    names = dict.fromkeys(name for entry in found for name in entry.skipped)
    return told(list(names), blank, max(entry.hidden for entry in found))


def load_shards(
    folder: str, alone: bool = True, reading: Reading = READINGS[0], temporary: Path | None = None
) -> Corpus:
    """Ready-made tokens: a folder of ``.bin`` or ``.npy`` files with a ``meta.json``.

    A prepared folder is taken as it is, its split included. Otherwise ``meta.json`` gives
    ``vocab_size``, ``dtype`` if the ``.bin`` files are not of the smallest little-endian type, and
    ``separator``, a token that ends documents, if they have one: then these are split, and not shards.
    Files that are validation or test data by their names are held out (``split_by_name``); without one,
    ``prepare`` holds out shards.

    Args:
        folder: A folder, or an fsspec URL of one.
        alone: Whether there is no other source beside it.
        reading: Whether a separator is asked for.
        temporary: Where temporary files are made; ``None``: where the system has them.

    Raises:
        DataError: Malformed, without shards, with a token outside the vocabulary, or with an ambiguous name.
    """
    files, root = locate(folder)
    meta_file = File(files, join_path(root, META), root, "://" in folder)
    place = meta_file.place
    meta = _parse(read(meta_file), place)
    prepared = isinstance(meta, dict) and meta.get("format") == FORMAT
    if prepared:
        meta = check_meta(meta, place)
        separator = meta["separator"]
    else:
        if not isinstance(meta, dict) or isinstance(meta.get("vocab_size"), bool):
            raise DataError("a mapping with vocab_size", value=meta, place=place)
        separator = meta.get("separator") if reading.separators else None
    vocab_size = meta.get("vocab_size")
    if not isinstance(vocab_size, int) or not 2 <= vocab_size <= MAX_VOCABULARY:
        raise DataError(f"vocab_size is from 2 to {MAX_VOCABULARY}", value=vocab_size, place=place)
    if separator is not None and not (is_whole(separator) and 0 <= separator < vocab_size):
        raise DataError(f"separator is a token, from 0 to {vocab_size - 1}", value=separator, place=place)
    dtype = _shard_type(meta.get("dtype", token_type(vocab_size).name), place)
    found = find(folder, SHARD_SUFFIXES, _KINDS)
    shards = found.files
    names = [shard.name if alone else shard.named for shard in shards]
    by_name = split_by_name(names)
    whole: list[Tokens] = []
    spool = Spool(token_type(vocab_size), temporary)
    documents: list[Tokens] | Spool = whole if prepared or separator is None else spool
    held_out = set()
    for shard, name in zip(shards, names, strict=True):
        file = shard.place
        if os.path.basename(file).lower().startswith("val") and part_of(name) is None:
            raise DataError(
                "begins as the name of validation data does, and is none",
                value=shard.name,
                place=folder,
                fix="rename it: val_… is held out, any other beginning is learnt from",
            )
        if name in by_name.left_out:
            continue
        tokens = _tokens(shard, dtype)
        if len(tokens) == 0:
            continue
        if int(tokens.max()) >= vocab_size or int(tokens.min()) < 0:
            raise DataError(f"tokens are from 0 to {vocab_size - 1}", value=int(tokens.max()), place=file)
        before = len(documents)
        if prepared or separator is None:
            documents.append(tokens.astype(token_type(vocab_size), copy=False))
        else:
            for document in _between(tokens, separator):
                documents.append(document)
        if name in by_name.held_out:
            held_out |= set(range(before, len(documents)))
    split = frozenset(held_out) if held_out and len(held_out) < len(documents) else None
    note = by_name.note if split and not prepared else ""
    tokenizer = _tokenizer_beside(files, root, meta, "://" in folder) if prepared else None
    return Corpus(
        vocab_size,
        documents,
        separator,
        f"{folder}, token shards{note}",
        split,
        tokenizer,
        told([name for name in found.skipped if name != TOKENIZER], [], found.hidden),
    )


def _between(tokens: Tokens, separator: int) -> Iterator[Tokens]:
    """The documents between separators; empty ones are none."""
    start = 0
    for at in range(0, len(tokens), _BLOCK):
        for end in at + np.flatnonzero(tokens[at : at + _BLOCK] == separator):
            if end > start:
                yield tokens[start:end]
            start = int(end) + 1
    if start < len(tokens):
        yield tokens[start:]


def _tokenizer_beside(files: Any, root: str, meta: dict[str, Any], remote: bool) -> bytes | None:
    """The tokenizer of a prepared folder, found to be the one it was prepared with."""
    if "tokenizer" not in meta:
        return None
    file = File(files, join_path(root, TOKENIZER), root, remote)
    content = read(file)
    if hashlib.sha256(content).hexdigest() != meta["tokenizer"]:
        raise DataError(f"its SHA-256 is not the one in {META}", place=file.place, fix="prepare it again")
    return content


def _size(shard: File) -> int:
    try:
        return int(shard.files.size(shard.path))
    except (OSError, ValueError) as error:
        raise unreadable(shard.place, error) from error


def _shard_type(name: object, place: str) -> np.dtype[Any]:
    if name not in ("uint8", "uint16", "uint32", "int32", "int64"):
        raise DataError(
            "dtype is an integer type",
            value=name,
            place=place,
            fix="use uint8, uint16, uint32, int32 or int64",
        )
    return np.dtype(str(name)).newbyteorder("<")


def _tokens(shard: File, dtype: np.dtype[Any]) -> Tokens:
    """The tokens of a shard, mapped rather than read where it is on this machine."""
    file, size = shard.place, _size(shard)
    if not file.endswith(".npy"):
        if size % dtype.itemsize:
            raise DataError(
                f"a shard of {dtype.name} is a multiple of {dtype.itemsize} bytes", value=size, place=file
            )
        if shard.remote or not size:
            return np.frombuffer(read(shard), dtype)
        return np.memmap(shard.path, dtype, mode="r").view(np.ndarray)
    try:
        if shard.remote:
            array = np.load(io.BytesIO(read(shard)), allow_pickle=False)
        else:
            array = np.load(shard.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        raise DataError(f"not a .npy file of numbers ({error})", place=file) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "ui":
        raise DataError(
            "a shard is one row of integers", value=str(getattr(array, "dtype", None)), place=file
        )
    return array.view(np.ndarray)


def _parse(content: bytes, place: str) -> Any:
    try:
        return parse_json(content, place)
    except StoreError as error:
        raise DataError(error.rule, place=place, fix="correct it or leave it out") from None


def _has_shards(entry: str) -> bool:
    """Whether this is a folder of token shards; a ``meta.json`` among texts makes it none."""
    files, path = locate(entry)
    try:
        if not files.isdir(path) or not files.exists(join_path(path, META)):
            return False
        return any(str(name).endswith(SHARD_SUFFIXES) for name in files.ls(path, detail=False))
    except (OSError, ValueError, ImportError) as error:
        raise unreadable(entry, error) from error
