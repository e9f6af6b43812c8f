"""Writing and reading the folder of an exported model. Nothing in it is executed or unpickled."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from star_core.datasets.base import DOCUMENT_END
from star_core.datasets.byte_tokens import decode, encode
from star_core.errors import ConfigError, DataError, StoreError
from star_core.exported.guide import guide
from star_core.exported.manifest import (
    EXPORT_AGAIN,
    GENOME,
    GUIDE,
    PROGRAM,
    WEIGHTS,
    Manifest,
    check_compiled,
)
from star_core.models import LanguageModel, build_model
from star_core.training.checkpoint import load_checkpoint

_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class Exported:
    """An exported model, loaded.

    Attributes:
        manifest: Description of the model.
        model: Ready to be used, in float32.
    """

    manifest: Manifest
    model: LanguageModel

    def generate(self, text: str, new_tokens: int = 200, temperature: float = 0.0, seed: int = 0) -> str:
        """What the model writes behind a text, up to the end of a document.

        Args:
            text: Text to continue; empty: the beginning of a document.
            new_tokens: The most to write, in bytes.
            temperature: 0 takes the likeliest byte each time; above, samples.
            seed: Seed of the sampling.

        Raises:
            DataError: The model's tokens are no text; use ``model.generate`` with token ids.
            ConfigError: As ``LanguageModel.generate``.
        """
        if self.manifest.tokens.kind != "bytes":
            raise DataError(
                "the tokens of this model are ids of a vocabulary that is not known here",
                value=self.manifest.vocab_size,
                place="generate",
                fix="use model.generate with token ids",
            )
        prompt = encode(text) or [DOCUMENT_END]
        device = self.model.embedding.device
        found = self.model.generate(
            torch.tensor([prompt], device=device),
            new_tokens,
            temperature,
            torch.Generator(device).manual_seed(seed),
        )
        written = found[0, len(prompt) :].tolist()
        return decode(written[: written.index(DOCUMENT_END)] if DOCUMENT_END in written else written)


def export_model(folder: Path, manifest: Manifest, weights: Path, program: bytes | None = None) -> None:
    """Makes the folder of a model: whole, or not at all.

    Args:
        folder: It must be empty or not be there.
        manifest: Description of the model, stored in the folder.
        weights: File of the weights, which is copied.
        program: Content of the exported program; the manifest describes it.

    Raises:
        ConfigError: The folder is not empty, or is not a folder.
        StoreError: It cannot be written, or the weights are not the manifest's.
    """
    folder = Path(os.path.abspath(folder))
    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
        try:
            temporary.chmod(0o755)
            shutil.copyfile(weights, temporary / WEIGHTS)
            (temporary / GENOME).write_bytes(manifest.to_bytes())
            (temporary / GUIDE).write_text(guide(manifest), encoding="utf-8")
            if program is not None:
                (temporary / PROGRAM).write_bytes(program)
            for file in temporary.iterdir():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            load_exported(temporary)  # what cannot be read is not handed out
            temporary.rename(folder)  # the system refuses a folder that was filled meanwhile
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(folder),
            fix="free disk space, or name a folder that may be written",
        ) from error


def check_free(folder: Path) -> None:
    """Raises ``ConfigError`` if a model cannot be exported to this folder, because there is something."""
    if not folder.exists() and not folder.is_symlink():
        return
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else None
    if found or found is None or folder.is_symlink():
        raise ConfigError(
            "a model is exported to a new or empty folder",
            value=found or None,
            place=str(folder),
            fix="name another one, or remove it",
        )


def load_exported(folder: str | Path, device: torch.device | str | None = None) -> Exported:
    """Loads an exported model, once every digest has been found in order.

    Args:
        folder: As ``star export`` wrote it.
        device: Torch device; the CPU by default.

    Raises:
        StoreError: A file is missing, malformed, changed, or of another version.
        ConfigError: Torch knows no such device.
    """
    folder = Path(folder)
    manifest = Manifest.read(folder / GENOME, EXPORT_AGAIN)
    architecture = check_compiled(manifest, str(folder / GENOME))
    path = folder / WEIGHTS
    require_content(path, manifest.weights)
    if manifest.program is not None and (folder / PROGRAM).exists():
        require_content(folder / PROGRAM, manifest.program.sha256)
    checkpoint = load_checkpoint(path)
    if checkpoint.architecture.digest != architecture.digest:
        raise StoreError(
            f"the weights are not those of the architecture in {GENOME}",
            value=checkpoint.architecture.digest,
            place=str(path),
            fix=EXPORT_AGAIN,
        )
    model = build_model(architecture, device=device)
    checkpoint.restore(model)
    return Exported(manifest, model.eval())


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
