"""A prepared dataset: a folder of two flat token files and what is known about them.

train.bin        little-endian unsigned integers: uint8 for vocabularies up to 256, uint16 up to 65,536,
validation.bin   else uint32
meta.json        format, version, vocabulary, and per split its tokens, documents and SHA-256
tokenizer.json   what made the tokens, where that is not known from their kind; meta.json has its SHA-256
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from star_core.config import MAX_VOCABULARY, digest_json
from star_core.datasets.base import Tokens, is_byte_corpus
from star_core.datasets.tokenizer import ByteTokenizer, Tokenizer, VocabularyTokenizer
from star_core.errors import DataError, StoreError
from star_core.storage.files import parse_json

FORMAT = "star-tokens"
VERSION = 1
SPLITS = ("train", "validation")
META, TOKENIZER = "meta.json", "tokenizer.json"
_MAX_META_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class TokenData:
    """Tokens to learn from and tokens held out, mapped from files rather than read.

    Attributes:
        folder: Where they are.
        name: Of the dataset.
        vocab_size: Tokens V; every token is below it.
        meta: The content of ``meta.json``.
        train: Shape (tokens,), uint8, uint16 or uint32.
        validation: Likewise, from documents that are not in ``train``.
    """

    folder: Path
    name: str
    vocab_size: int
    meta: dict[str, Any] = field(repr=False)
    train: Tokens = field(repr=False)
    validation: Tokens = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what a model can learn from it: both splits' content and the vocabulary."""
        hashes = {name: self.meta["splits"][name]["sha256"] for name in SPLITS}
        if "tokenizer" in self.meta:
            hashes["tokenizer"] = self.meta["tokenizer"]
        return content_digest(self.vocab_size, hashes)

    @property
    def has_tokenizer(self) -> bool:
        """Whether a tokenizer with a vocabulary of its own made the tokens."""
        return "tokenizer" in self.meta

    @property
    def is_text(self) -> bool:
        """Whether text can be made of the tokens."""
        return self.has_tokenizer or is_byte_corpus(self.vocab_size, self.meta["separator"])

    @property
    def bytes_per_token(self) -> float | None:
        """Bytes of text a held-out token stands for, a separator for one; ``None`` if that is not known."""
        split = self.meta["splits"]["validation"]
        if "bytes" in split:
            return float(split["bytes"] / split["tokens"])
        return 1.0 if self.is_text else None

    @property
    def metrics(self) -> dict[str, float]:
        """What an evaluation says of the corpus, where its kind of tokens does not."""
        per_token = self.bytes_per_token
        return {"bytes_per_token": per_token} if per_token is not None and self.has_tokenizer else {}

    @cached_property
    def definition(self) -> bytes | None:
        """Content of ``tokenizer.json``; ``None``: there is none.

        Raises:
            DataError: It is missing, or another than the corpus was prepared with.
        """
        if not self.has_tokenizer:
            return None
        path = self.folder / TOKENIZER
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", place=str(path), fix=_AGAIN) from error
        if hashlib.sha256(content).hexdigest() != self.meta["tokenizer"]:
            raise DataError("its SHA-256 is not the one in meta.json", place=str(path), fix=_AGAIN)
        return content

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What makes tokens of text.

        Raises:
            DataError: As ``definition``; or the tokens are not known to be of text.
        """
        if self.definition is not None:
            return VocabularyTokenizer(self.definition, str(self.folder / TOKENIZER))
        if self.is_text:
            return ByteTokenizer()
        raise DataError(
            "these tokens are ids of a vocabulary that is not known here",
            value=f"vocabulary {self.vocab_size}, separator {self.meta['separator']}",
            place=str(self.folder),
            fix="use a run on text; token shards bring no tokenizer",
        )

    def verify(self) -> None:
        """Reads everything and compares it with ``meta.json``.

        Raises:
            DataError: A file's content is not what was prepared, or a token is outside the vocabulary.
        """
        for name in SPLITS:
            tokens = getattr(self, name)
            place = str(self.folder / f"{name}.bin")
            if sha256(tokens) != self.meta["splits"][name]["sha256"]:
                raise DataError("its SHA-256 is not the one in meta.json", place=place, fix=_AGAIN)
            largest = max(int(tokens[at : at + _CHUNK].max()) for at in range(0, len(tokens), _CHUNK))
            if largest >= self.vocab_size:
                raise DataError(
                    f"tokens are below the vocabulary size {self.vocab_size}",
                    value=largest,
                    place=place,
                    fix=_AGAIN,
                )


_AGAIN = "delete the folder and prepare the data again"


def token_type(vocab_size: int) -> np.dtype[Any]:
    """Little-endian type that tokens of this vocabulary are stored in."""
    return np.dtype("<u1" if vocab_size <= 1 << 8 else "<u2" if vocab_size <= 1 << 16 else "<u4")


def sha256(tokens: Tokens) -> str:
    """SHA-256 (hex) of the tokens as they lie in their file."""
    digest = hashlib.sha256()
    for at in range(0, len(tokens), _CHUNK):
        digest.update(np.ascontiguousarray(tokens[at : at + _CHUNK]).tobytes())
    return digest.hexdigest()


def content_digest(vocab_size: int, hashes: dict[str, str]) -> str:
    """Digest of a dataset, from the SHA-256 of each split, and of its tokenizer if it has one."""
    return digest_json({"format": FORMAT, "vocab_size": vocab_size, **hashes})


def load_tokens(folder: str | Path) -> TokenData:
    """Opens a prepared folder; sizes are checked, content only by ``verify``.

    Raises:
        DataError: The folder, ``meta.json`` or a token file is missing, malformed, of another version
            or of the wrong size.
    """
    folder = Path(folder)
    meta = _read_meta(folder)
    tokens = {name: _map(folder, name, meta) for name in SPLITS}
    return TokenData(folder, meta["name"], meta["vocab_size"], meta, tokens["train"], tokens["validation"])


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / META
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_META_BYTES + 1)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", place=str(path), fix="name a folder of prepared data"
        ) from error
    if len(content) > _MAX_META_BYTES:
        raise DataError("meta.json is at most 1 MiB", place=str(path), fix=_AGAIN)
    try:
        meta = parse_json(content, str(path))
    except StoreError as error:
        raise DataError(error.rule, place=str(path), fix=_AGAIN) from None
    return check_meta(meta, str(path))


def check_meta(meta: Any, place: str) -> dict[str, Any]:
    """``meta`` itself, once every field has been found in order.

    Raises:
        DataError: A field is missing, unknown or out of range.
    """

    def require(holds: bool, rule: str, value: object, key: str = "") -> None:
        if not holds:
            raise DataError(rule, value=value, place=f"{place}, {key}" if key else place, fix=_AGAIN)

    require(isinstance(meta, dict), "a mapping", meta)
    require(meta.get("format") == FORMAT, f"a {FORMAT} file", meta.get("format"), "format")
    require(meta.get("version") == VERSION, f"version {VERSION} is read here", meta.get("version"), "version")
    fields = {"format", "version", "name", "vocab_size", "dtype", "separator", "splits", "sources"}
    # Shards made elsewhere need not say by which parameters, and tokenizers are younger than stored corpora.
    odd = (set(meta) - {"data", "tokenizer"}) ^ fields
    require(not odd, "exactly the fields of prepared data", sorted(odd))
    require(isinstance(meta["name"], str), "text", meta["name"], "name")
    require(isinstance(meta["sources"], str), "text", meta["sources"], "sources")
    size = meta["vocab_size"]
    require(_whole(size) and 2 <= size <= MAX_VOCABULARY, f"from 2 to {MAX_VOCABULARY}", size, "vocab_size")
    separator = meta["separator"]
    require(
        separator is None or (_whole(separator) and separator < size),
        "a token or null",
        separator,
        "separator",
    )
    name = token_type(size).name
    require(meta["dtype"] == name, f"{name} for a vocabulary of {size}", meta["dtype"], "dtype")
    splits = meta["splits"]
    require(isinstance(splits, dict) and set(splits) == set(SPLITS), "train and validation", splits, "splits")
    for split, record in splits.items():
        key = f"splits.{split}"
        counts = ("tokens", "documents", *(("bytes",) if "tokenizer" in meta else ()))
        known = {*counts, "sha256"}
        require(isinstance(record, dict) and set(record) == known, ", ".join(sorted(known)), record, key)
        for count in counts:
            require(_whole(record[count]) and record[count] > 0, "1 or more", record[count], f"{key}.{count}")
        require(_is_sha256(record["sha256"]), "64 hex digits", record["sha256"], f"{key}.sha256")
    if "tokenizer" in meta:
        require(_is_sha256(meta["tokenizer"]), "64 hex digits", meta["tokenizer"], "tokenizer")
        require(
            separator is not None, "a token between documents, as its tokenizer has", separator, "separator"
        )
    return dict(meta)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _map(folder: Path, name: str, meta: dict[str, Any]) -> Tokens:
    path = folder / f"{name}.bin"
    dtype, tokens = token_type(meta["vocab_size"]), meta["splits"][name]["tokens"]
    try:
        size = path.stat().st_size
        if size != tokens * dtype.itemsize:
            raise DataError(
                f"meta.json says {tokens} tokens, {tokens * dtype.itemsize} bytes",
                value=size,
                place=str(path),
                fix=_AGAIN,
            )
        return np.memmap(path, dtype, mode="r").view(np.ndarray)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", place=str(path), fix=_AGAIN) from error


def write_meta(meta: dict[str, Any]) -> bytes:
    """``meta.json``, the same bytes for the same content."""
    return (json.dumps(meta, indent=1, sort_keys=True) + "\n").encode()
