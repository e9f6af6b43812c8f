"""Writing and reading the folder of an exported model. Nothing in it is executed or unpickled."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from star_core.errors import ConfigError, DataError, StoreError
from star_core.exported.card import card
from star_core.exported.decoder import TorchDecoder
from star_core.exported.digests import check_files, definition, sha256_of
from star_core.exported.format import ExportFormat, Trained, precisions_of
from star_core.exported.manifest import (
    EXPORT_AGAIN,
    GENOME,
    GUIDE,
    PROGRAM,
    TOKENIZER,
    WEIGHTS,
    Manifest,
    check_compiled,
)
from star_core.graphs import runner
from star_core.graphs.runner import Sampling, Text
from star_core.graphs.samples import samples
from star_core.models import LanguageModel, build_model
from star_core.storage.files import require_writable
from star_core.training.checkpoint import load_checkpoint


@dataclass(frozen=True, eq=False)
class Exported:
    """An exported model, loaded.

    Attributes:
        manifest: Description of the model.
        model: Ready to be used, in float32.
        tokenizer: Content of ``tokenizer.json``, where the model has a vocabulary of its own.
    """

    manifest: Manifest
    model: LanguageModel
    tokenizer: bytes = b""

    def generate(self, text: str, new_tokens: int = 200, temperature: float = 0.0, seed: int = 0) -> str:
        """What the model writes behind a text, up to the end of a document.

        Args:
            text: Text to continue; empty: the beginning of a document.
            new_tokens: The most to write.
            temperature: 0 takes the likeliest token each time; above, samples.
            seed: Seed of the sampling.

        Raises:
            DataError: The model's tokens are no text; use ``model.generate`` with token ids.
            ConfigError: ``new_tokens``, ``temperature`` or ``seed`` is negative.
        """
        tokens = self.manifest.tokens
        if tokens.kind == "ids":
            raise DataError(
                "the tokens of this model are ids of a vocabulary that is not known here",
                value=self.manifest.vocab_size,
                place="generate",
                fix="use model.generate with token ids",
            )
        try:
            sampling = Sampling(temperature, top_p=1)
            texts = Text(tokens.kind, tokens.separator, self.tokenizer)
            prompt = texts.encode(text)
            decoder = TorchDecoder(self.model, len(prompt) + max(new_tokens, 0))
            found = runner.generate(decoder, prompt, new_tokens, sampling, seed, tokens.separator)
            return "".join(texts.decode(found))
        except ValueError as error:
            raise ConfigError(str(error), place="generate", fix=_GENERATE) from None


def export_model(
    folder: Path,
    trained: Trained,
    formats: Sequence[ExportFormat],
    precisions: Sequence[str] = ("f32",),
    program: bytes | None = None,
) -> list[str]:
    """Makes the folder of a model: whole, or not at all.

    Args:
        folder: It must be empty or not be there.
        trained: The model, and a description that lacks only the digests of what is written here.
        formats: Those it is written in; none of them refuses it.
        precisions: Of the weights, in formats that have them.
        program: Content of the exported program; the description says what it is.

    Returns:
        What could not be checked because something is not installed, for each format a sentence.

    Raises:
        ConfigError: The folder is not empty, or is not a folder, or a precision does not suit the model.
        StoreError: It cannot be written, or a format computes something else than the model.
    """
    folder = Path(os.path.abspath(folder))
    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
        try:
            temporary.chmod(0o755)
            unchecked = []
            for entry in formats:
                own = temporary if entry.at_top else temporary / entry.name
                own.mkdir(exist_ok=True)
                entry.write(own, trained, precisions_of(entry, precisions))
                if missing := entry.check(own, trained):
                    unchecked.append(f"{entry.name}: {missing}")
            if trained.tokenizer is not None:
                (temporary / TOKENIZER).write_bytes(trained.tokenizer)
            if program is not None:
                (temporary / PROGRAM).write_bytes(program)
            _describe(temporary, trained.manifest, formats, _samples(trained))
            for file in _files(temporary):
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            check_files(temporary, Manifest.read(temporary / GENOME, EXPORT_AGAIN))
            temporary.rename(folder)  # the system refuses a folder that was filled meanwhile
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})",
            place=str(folder),
            fix="free disk space, or name a folder that may be written",
        ) from error
    return unchecked


def _samples(trained: Trained) -> list[str]:
    """What the model writes by itself, if its tokens are text and its structures have graphs."""
    tokens = trained.manifest.tokens
    if tokens.kind == "ids":
        return []
    try:
        text = Text(tokens.kind, tokens.separator, trained.tokenizer or b"")
        return samples(trained.model.arch, trained.arrays, text)
    except ConfigError:
        return []


def _describe(
    folder: Path, manifest: Manifest, formats: Sequence[ExportFormat], written: Sequence[str]
) -> None:
    """Writes ``genome.json``, with the digests of all that is there, and the cards, which may be edited."""
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in _files(folder)}
    manifest = manifest.model_copy(update={"files": files})
    (folder / GENOME).write_bytes(manifest.to_bytes())
    sections = [(entry, "." if entry.at_top else entry.name) for entry in formats]
    (folder / GUIDE).write_text(card(manifest, sections, written), encoding="utf-8")
    alone = manifest.model_copy(update={"program": None})
    for entry in formats:
        if not entry.at_top:
            text = card(alone, [(entry, ".")], written)
            (folder / entry.name / GUIDE).write_text(text, encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def check_free(folder: Path) -> None:
    """Raises ``ConfigError`` if an export's folder holds something, ``StoreError`` if it cannot be made."""
    if not folder.exists() and not folder.is_symlink():
        require_writable(folder, "name a folder that may be written")
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
    if manifest.files is not None and WEIGHTS not in manifest.files:
        raise StoreError(
            "this model was exported in other formats only",
            value=sorted({name.partition("/")[0] for name in manifest.files}),
            place=str(folder / WEIGHTS),
            fix="star export RUN:NAME --to FOLDER --format torch, or see its README",
        )
    check_files(folder, manifest)
    return Exported(manifest, restored(folder, manifest, device), definition(folder, manifest))


def restored(folder: Path, manifest: Manifest, device: torch.device | str | None = None) -> LanguageModel:
    """The model of a description with the weights beside it, whose digest was found in order.

    Raises:
        StoreError: The weights are of another model, or of another version.
        ConfigError: Torch knows no such device.
    """
    architecture, path = check_compiled(manifest, str(folder / GENOME)), folder / WEIGHTS
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
    return model.eval()


_GENERATE = "use e.g. new_tokens=200, temperature=0.8, seed=0"
