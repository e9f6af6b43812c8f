"""Documents from a user's own files: text, or shards of ready-made tokens."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import fsspec
import numpy as np

from star_core.config import Data
from star_core.datasets.base import DATASETS, Corpus, Tokens, byte_corpus, dataset, dataset_names
from star_core.datasets.tokens import FORMAT, MAX_VOCABULARY, META, check_meta, token_type
from star_core.errors import DataError, StoreError, nearest
from star_core.storage.files import parse_json

TEXT_SUFFIXES = (".txt", ".md", ".jsonl")
SHARD_SUFFIXES = (".bin", ".npy")
_KINDS = (
    f"text files ({', '.join(TEXT_SUFFIXES)}) or token shards ({', '.join(SHARD_SUFFIXES)} beside a {META})"
)


def load_corpus(data: Data) -> Corpus:
    """What ``data.source`` names: a dataset by name, or files, folders, globs and URLs.

    Raises:
        DataError: Nothing there, unreadable, malformed, or text mixed with token shards.
    """
    sources = [data.source] if isinstance(data.source, str) else list(data.source)
    if not sources or not all(sources):
        raise DataError("at least one source", value=data.source, place="data.source", fix="use kjv")
    named = [entry for entry in sources if entry in dataset_names()]
    shards = [entry for entry in sources if entry not in named and _has_shards(entry)]
    text = [entry for entry in sources if entry not in named and entry not in shards]
    corpora = [dataset(name).load(data) for name in named] + [load_shards(folder) for folder in shards]
    if text:
        corpora.append(load_text_documents(text))
    return corpora[0] if len(corpora) == 1 else _merge(corpora, sources)


def _merge(corpora: list[Corpus], sources: list[str]) -> Corpus:
    """Several corpora of one vocabulary as one.

    Raises:
        DataError: Their tokens do not mean the same, or one has a split of its own.
    """
    first = corpora[0]
    for corpus in corpora:
        same = (corpus.vocab_size, corpus.separator) == (first.vocab_size, first.separator)
        if not same or corpus.held_out is not None:
            raise DataError(
                "only sources of the same kind of tokens, without a split of their own, can be joined",
                value=corpus.description,
                place="data.source",
                fix=f"use one of them alone: {', '.join(sources)}",
            )
    documents = tuple(document for corpus in corpora for document in corpus.documents)
    description = "; ".join(corpus.description for corpus in corpora)
    return Corpus(first.vocab_size, documents, first.separator, description)


def load_text_documents(source: str | list[str]) -> Corpus:
    """Text files as documents of UTF-8 bytes: one per file, or per line of a ``.jsonl``.

    Args:
        source: Files, folders (searched deeply), globs or fsspec URLs of ``.txt``, ``.md`` and
            ``.jsonl`` (one JSON object a line, its text under ``text``).

    Raises:
        DataError: A source is missing or holds no text file; a file is unreadable, not UTF-8 or not
            as described. Names the file and line.
    """
    sources = [source] if isinstance(source, str) else list(source)
    files = [found for entry in sources for found in _find(entry, TEXT_SUFFIXES)]
    unique = dict.fromkeys(files)
    return byte_corpus((text for file in unique for text in _texts(file)), ", ".join(sources))


def load_shards(folder: str) -> Corpus:
    """Ready-made tokens: a folder of ``.bin`` or ``.npy`` files with a ``meta.json``.

    A prepared folder is taken as it is, its split included. Otherwise ``meta.json`` gives
    ``vocab_size``, and ``dtype`` if the ``.bin`` files are not of the smallest little-endian type.
    Files whose name begins with ``val`` are validation data; without one, ``prepare`` holds out shards.

    Raises:
        DataError: Malformed, without shards, or with a token outside the vocabulary.
    """
    place = _join(folder, META)
    meta = _parse(_read(place), place)
    if isinstance(meta, dict) and meta.get("format") == FORMAT:
        meta = check_meta(meta, place)
        separator = meta["separator"]
    else:
        separator = None
        if not isinstance(meta, dict) or isinstance(meta.get("vocab_size"), bool):
            raise DataError("a mapping with vocab_size", value=meta, place=place)
    vocab_size = meta.get("vocab_size")
    if not isinstance(vocab_size, int) or not 2 <= vocab_size <= MAX_VOCABULARY:
        raise DataError(f"vocab_size is from 2 to {MAX_VOCABULARY}", value=vocab_size, place=place)
    dtype = _shard_type(meta.get("dtype", token_type(vocab_size).name), place)
    files = _find(folder, SHARD_SUFFIXES)
    documents: list[Tokens] = []
    held_out = set()
    for file in files:
        tokens = _tokens(file, dtype)
        if len(tokens) == 0:
            continue
        if int(tokens.max()) >= vocab_size or int(tokens.min()) < 0:
            raise DataError(f"tokens are from 0 to {vocab_size - 1}", value=int(tokens.max()), place=file)
        if PurePosixPath(file).name.lower().startswith("val"):
            held_out.add(len(documents))
        documents.append(tokens.astype(token_type(vocab_size), copy=False))
    return Corpus(
        vocab_size, tuple(documents), separator, f"{folder}, token shards", frozenset(held_out) or None
    )


def _shard_type(name: object, place: str) -> np.dtype[Any]:
    if name not in ("uint8", "uint16", "uint32", "int32", "int64"):
        raise DataError(
            "dtype is an integer type",
            value=name,
            place=place,
            fix="use uint8, uint16, uint32, int32 or int64",
        )
    return np.dtype(str(name)).newbyteorder("<")


def _tokens(file: str, dtype: np.dtype[Any]) -> Tokens:
    content = _read(file)
    if not file.endswith(".npy"):
        if len(content) % dtype.itemsize:
            raise DataError(
                f"a shard of {dtype.name} is a multiple of {dtype.itemsize} bytes",
                value=len(content),
                place=file,
            )
        return np.frombuffer(content, dtype)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError, MemoryError) as error:
        raise DataError(f"not a .npy file of numbers ({error})", place=file) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "ui":
        raise DataError(
            "a shard is one row of integers", value=str(getattr(array, "dtype", None)), place=file
        )
    return array


def _texts(file: str) -> Iterator[str]:
    content = _read(file)
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 at byte {error.start}",
            value=content[error.start : error.start + 1],
            place=file,
            fix="convert it to UTF-8 or leave it out",
        ) from error
    if "\0" in text:
        raise DataError("text holds no NUL character", place=file, fix="leave binary files out")
    if not file.endswith(".jsonl"):
        yield text
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        record = _parse(line.encode(), place)
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise DataError('a line is a JSON object with a "text"', value=record, place=place)
        yield record["text"]


def _parse(content: bytes, place: str) -> Any:
    try:
        return parse_json(content, place)
    except StoreError as error:
        raise DataError(error.rule, place=place, fix="correct it or leave it out") from None


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _has_shards(entry: str) -> bool:
    """Whether this is a folder of token shards; a ``meta.json`` among texts makes it none."""
    if any(character in entry for character in "*?["):
        return False
    try:
        filesystem, path = fsspec.core.url_to_fs(entry)
        if not filesystem.exists(_join(path, META)):
            return False
        return any(str(name).endswith(SHARD_SUFFIXES) for name in filesystem.ls(path, detail=False))
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(entry, error) from error


def _find(entry: str, suffixes: tuple[str, ...]) -> list[str]:
    """Files behind one entry, sorted, as URLs that ``_read`` opens."""
    try:
        filesystem, path = fsspec.core.url_to_fs(entry)
        if any(character in path for character in "*?["):
            paths = sorted(filesystem.glob(path))
        elif filesystem.isdir(path):
            paths = sorted(filesystem.find(path))
        else:
            paths = [path] if filesystem.exists(path) else []
        remote = "://" in entry
        found = [filesystem.unstrip_protocol(name) if remote else name for name in paths]
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(entry, error) from error
    if not found:
        raise DataError(
            "no such dataset, file or folder",
            value=entry,
            place="data.source",
            fix=f"{nearest(entry, dataset_names())}, or a path to {_KINDS}{DATASETS.where_to_find()}",
        )
    chosen = [
        name for name in found if name.endswith(suffixes) and not PurePosixPath(name).name.startswith(".")
    ]
    if not chosen:
        raise DataError(
            f"holds no {', '.join(suffixes)}", value=entry, place="data.source", fix=f"name {_KINDS}"
        )
    return chosen


def _read(file: str) -> bytes:
    try:
        with fsspec.open(file, "rb") as opened:
            return bytes(opened.read())
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(file, error) from error


def _unreadable(place: str, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or json.dumps(str(error))
    return DataError(f"cannot be read ({reason})", place=place, fix="check the path and its permissions")
