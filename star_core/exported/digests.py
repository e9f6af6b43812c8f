"""Whether the files of an exported model are those that ``genome.json`` states."""

from __future__ import annotations

import hashlib
from pathlib import Path

from star_core.errors import StoreError
from star_core.exported.manifest import EXPORT_AGAIN, GENOME, PROGRAM, TOKENIZER, WEIGHTS, Manifest

_CHUNK = 1 << 22


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raises ``StoreError`` if a file was changed; formats that are left out are not missed."""
    stated = manifest.files
    if stated is None:
        stated = {WEIGHTS: manifest.weights}
        if manifest.program is not None:
            stated[PROGRAM] = manifest.program.sha256
    for name, digest in stated.items():
        if name == WEIGHTS or (folder / name).exists():
            require_content(folder / name, digest)


def definition(folder: Path, manifest: Manifest) -> bytes:
    """Content of ``tokenizer.json``; empty where the model has no vocabulary of its own.

    Raises:
        StoreError: It is missing, or was changed.
    """
    if manifest.tokens.kind != "tokenizer":
        return b""
    require_content(folder / TOKENIZER, (manifest.files or {}).get(TOKENIZER, ""))
    return (folder / TOKENIZER).read_bytes()


def require_content(path: Path, stated: str) -> None:
    """Raises ``StoreError`` if a file cannot be read or has another SHA-256 than ``genome.json`` states."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise StoreError(f"cannot be read ({error.strerror})", place=str(path), fix=EXPORT_AGAIN) from error
    if found != stated:
        raise StoreError(
            f"its SHA-256 is not the one in {GENOME}: it was changed or damaged",
            value=found,
            place=str(path),
            fix=EXPORT_AGAIN,
        )


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()
