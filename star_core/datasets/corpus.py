"""Documents from a user's own files: text, or shards of ready-made tokens."""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem

from star_core.config import MAX_VOCABULARY, Data
from star_core.datasets.base import DATASETS, Corpus, Tokens, byte_corpus, dataset, dataset_names
from star_core.datasets.split_by_name import part_of, split_by_name
from star_core.datasets.tokenizer import VocabularyTokenizer, adopted
from star_core.datasets.tokens import FORMAT, META, TOKENIZER, check_meta, token_type
from star_core.errors import DataError, StoreError, nearest
from star_core.paths import local_path
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
    corpora = [dataset(name).load(data) for name in named]
    corpora += [load_shards(folder, alone=len(sources) == 1) for folder in shards]
    if text:
        corpora.append(load_text_documents(text, alone=len(text) == len(sources)))
    return corpora[0] if len(corpora) == 1 else _merge(corpora, sources)


def _merge(corpora: list[Corpus], sources: list[str]) -> Corpus:
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
    documents = tuple(document for corpus in corpora for document in corpus.documents)
    description = "; ".join(corpus.description for corpus in corpora)
    return Corpus(first.vocab_size, documents, first.separator, description, tokenizer=first.tokenizer)


def load_tokenizer(data: Data) -> VocabularyTokenizer | None:
    """The tokenizer that ``data.tokenizer`` names a file of; ``None``: it names none.

    Raises:
        DataError: There is no such file, or it is no tokenizer.
    """
    if data.tokenizer == "bytes" or data.bpe_size is not None:
        return None
    files, path = _locate(data.tokenizer)
    try:
        if not files.isfile(path):
            raise DataError(
                "no such file; a tokenizer is bytes, bpe:8192 (trained on your text), or a tokenizer.json",
                value=data.tokenizer,
                place="data.tokenizer",
                fix=nearest(data.tokenizer, ("bytes", "bpe:8192")),
            )
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(data.tokenizer, error) from error
    file = _File(files, path, "", "://" in data.tokenizer)
    return adopted(_read(file), file.place)


def load_text_documents(source: str | list[str], alone: bool = True) -> Corpus:
    """Text files as documents of UTF-8 bytes: one per file, or per line of a ``.jsonl``.

    Files that are validation or test data by their names are held out (``split_by_name``).

    Args:
        source: Files, folders (searched deeply), globs or fsspec URLs of ``.txt``, ``.md`` and
            ``.jsonl`` (one JSON object a line, its text under ``text``). What exists is no pattern.
        alone: Whether there is no other source beside them.

    Raises:
        DataError: A source is missing or holds no text file; a file is unreadable, not UTF-8 or not
            as described, or its name is ambiguous. Names the file and line.
    """
    sources = [source] if isinstance(source, str) else list(source)
    files = {file.place: file for entry in sources for file in _find(entry, TEXT_SUFFIXES)}.values()
    several = not alone or len({file.folder for file in files} - {""}) > 1
    names = [file.named if several else file.name for file in files]
    by_name = split_by_name(names)
    held: list[bool] = []

    def texts() -> Iterator[str]:
        for file, name in zip(files, names, strict=True):
            if name not in by_name.left_out:
                for text in filter(str.strip, _texts(file)):
                    held.append(name in by_name.held_out)
                    yield text

    corpus = byte_corpus(texts(), ", ".join(sources))
    held_out = frozenset(np.flatnonzero(held).tolist())
    if not held_out or (alone and all(held)):
        return corpus
    return replace(corpus, held_out=held_out, description=corpus.description + by_name.note)


def load_shards(folder: str, alone: bool = True) -> Corpus:
    """Ready-made tokens: a folder of ``.bin`` or ``.npy`` files with a ``meta.json``.

    A prepared folder is taken as it is, its split included. Otherwise ``meta.json`` gives
    ``vocab_size``, and ``dtype`` if the ``.bin`` files are not of the smallest little-endian type.
    Files that are validation or test data by their names are held out (``split_by_name``); without one,
    ``prepare`` holds out shards.

    Args:
        folder: A folder, or an fsspec URL of one.
        alone: Whether there is no other source beside it.

    Raises:
        DataError: Malformed, without shards, with a token outside the vocabulary, or with an ambiguous name.
    """
    files, root = _locate(folder)
    meta_file = _File(files, _join(root, META), root, "://" in folder)
    place = meta_file.place
    meta = _parse(_read(meta_file), place)
    prepared = isinstance(meta, dict) and meta.get("format") == FORMAT
    if prepared:
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
    shards = _find(folder, SHARD_SUFFIXES)
    names = [shard.name if alone else shard.named for shard in shards]
    by_name = split_by_name(names)
    documents: list[Tokens] = []
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
        if name in by_name.held_out:
            held_out.add(len(documents))
        documents.append(tokens.astype(token_type(vocab_size), copy=False))
    split = frozenset(held_out) if held_out and len(held_out) < len(documents) else None
    note = by_name.note if split and not prepared else ""
    tokenizer = _tokenizer_beside(files, root, meta, "://" in folder) if prepared else None
    return Corpus(vocab_size, tuple(documents), separator, f"{folder}, token shards{note}", split, tokenizer)


def _tokenizer_beside(files: Any, root: str, meta: dict[str, Any], remote: bool) -> bytes | None:
    """The tokenizer of a prepared folder, found to be the one it was prepared with."""
    if "tokenizer" not in meta:
        return None
    file = _File(files, _join(root, TOKENIZER), root, remote)
    content = _read(file)
    if hashlib.sha256(content).hexdigest() != meta["tokenizer"]:
        raise DataError(f"its SHA-256 is not the one in {META}", place=file.place, fix="prepare it again")
    return content


def _shard_type(name: object, place: str) -> np.dtype[Any]:
    if name not in ("uint8", "uint16", "uint32", "int32", "int64"):
        raise DataError(
            "dtype is an integer type",
            value=name,
            place=place,
            fix="use uint8, uint16, uint32, int32 or int64",
        )
    return np.dtype(str(name)).newbyteorder("<")


def _tokens(shard: _File, dtype: np.dtype[Any]) -> Tokens:
    content, file = _read(shard), shard.place
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


def _texts(source: _File) -> Iterator[str]:
    content, file = _read(source), source.place
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


class _File(NamedTuple):
    """A file of a source.

    Attributes:
        files: The file system it is on.
        path: Where it is there.
        folder: The folder that the source is, or has a pattern in; empty where it is the file itself.
        remote: Whether the source is a URL.
    """

    files: Any
    path: str
    folder: str
    remote: bool

    @property
    def name(self) -> str:
        """Its path as seen from the source."""
        return self.path[len(self.folder) :].strip("/") if self.folder else os.path.basename(self.path)

    @property
    def named(self) -> str:
        """The same, with the name of the source's folder before it."""
        return "/".join(filter(None, (os.path.basename(self.folder), self.name)))

    @property
    def place(self) -> str:
        """Its path, or URL."""
        return str(self.files.unstrip_protocol(self.path)) if self.remote else self.path


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _locate(entry: str) -> tuple[Any, str]:
    """The file system of a source and the path there; what is no URL is on this machine."""
    try:
        if "://" in entry:
            files, path = fsspec.core.url_to_fs(entry)
            return files, str(path)
        return LocalFileSystem(), os.path.abspath(local_path(entry))
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(entry, error) from error


def _has_shards(entry: str) -> bool:
    """Whether this is a folder of token shards; a ``meta.json`` among texts makes it none."""
    files, path = _locate(entry)
    try:
        if not files.isdir(path) or not files.exists(_join(path, META)):
            return False
        return any(str(name).endswith(SHARD_SUFFIXES) for name in files.ls(path, detail=False))
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(entry, error) from error


def _find(entry: str, suffixes: tuple[str, ...]) -> list[_File]:
    """Files behind one entry, sorted: a file, a folder but for what is hidden, else a pattern."""
    files, path = _locate(entry)
    hidden = False
    try:
        if files.isdir(path):
            paths, folder = files.find(path), path.rstrip("/")
        elif files.exists(path):
            paths, folder = [path], ""
        elif glob.has_magic(path):
            folder = _literal(files, path)
            pattern = path[len(folder) :]
            hidden = "/." in pattern
            paths = files.glob(glob.escape(folder) + pattern)
        else:
            paths, folder = [], ""
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(entry, error) from error
    if not paths:
        raise DataError(
            "no such dataset, file or folder",
            value=entry,
            place="data.source",
            fix=f"{nearest(entry, dataset_names())}, or a path to {_KINDS}{DATASETS.where_to_find()}",
        )
    found = [_File(files, found, folder, "://" in entry) for found in sorted(paths)]
    chosen = [
        file
        for file in found
        if file.path.endswith(suffixes)
        and not os.path.basename(file.path).startswith(".")
        and (hidden or "/." not in f"/{file.name}")
    ]
    if not chosen:
        raise DataError(
            f"holds no {', '.join(suffixes)}", value=entry, place="data.source", fix=f"name {_KINDS}"
        )
    return chosen


def _literal(files: Any, pattern: str) -> str:
    """The folder that a pattern is below: as much of it as exists, or has nothing of a pattern."""
    folder, *parts = pattern.split("/")
    for part in parts[:-1]:
        below = f"{folder}/{part}"
        if glob.has_magic(part) and not files.exists(below):
            break
        folder = below
    return folder


def _read(file: _File) -> bytes:
    try:
        with file.files.open(file.path, "rb") as opened:
            return bytes(opened.read())
    except (OSError, ValueError, ImportError) as error:
        raise _unreadable(file.place, error) from error


def _unreadable(place: str, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or json.dumps(str(error))
    return DataError(f"cannot be read ({reason})", place=place, fix="check the path and its permissions")
