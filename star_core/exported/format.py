"""What a format of an exported model is: which genomes it takes, how it is written, checked and explained.

A format is one file of ``star_core/exported/formats``, or of another package that names it by an entry point
in ``star.export_formats``. Importing it costs little: ``star inspect`` asks all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from star_core.architecture import Architecture
from star_core.errors import ConfigError, nearest
from star_core.exported.manifest import Manifest, Tokens
from star_core.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from star_core.graphs.runner import Model  # imports onnxruntime
    from star_core.models import LanguageModel  # imports torch

PRECISIONS = ("f32", "int8", "int4")
"""What a weight may be stored in: 32 bits, or 8 or 4 and a scale for each block of them."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What is exported.

    Attributes:
        model: In float32 on the CPU, not in training.
        manifest: Description of it, without digests of files that are not written yet.
        weights: File of the checkpoint.
        tokenizer: Content of ``tokenizer.json`` where the model has a vocabulary of its own.
    """

    model: LanguageModel
    manifest: Manifest
    weights: Path
    tokenizer: bytes | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by their names in the model's state dict."""
        return {name: tensor.numpy() for name, tensor in self.model.state_dict().items()}


class ExportFormat(ABC):
    """A form in which a trained model leaves. Register an object of it in ``EXPORT_FORMATS``.

    Attributes:
        name: As ``--format`` takes it, and the folder it is written to.
        title: What it is, in a few words.
        needs: What the receiver installs.
        precisions: Those of ``PRECISIONS`` it can store weights in.
        at_top: Whether its files stand at the top of the exported folder, not in one of its own.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[str]
    precisions: ClassVar[tuple[str, ...]] = ("f32",)
    at_top: ClassVar[bool] = False

    def refusal(self, architecture: Architecture, tokens: Tokens) -> str | None:
        """Why this genome cannot be written: which LIV, and which genomes could. ``None``: it can."""
        return None

    def kind(self, architecture: Architecture) -> str:
        """As what it is written, where the format has several ways; nothing where it has one."""
        return ""

    @abstractmethod
    def write(self, folder: Path, trained: Trained, precisions: Sequence[str]) -> None:
        """Writes all files of the format.

        Args:
            folder: Is there; nothing of the format is in it.
            trained: What is exported; ``refusal`` has nothing against it.
            precisions: Of the weights, each one of the format's.

        Raises:
            OSError: The folder cannot be written.
            ConfigError: The model cannot be stored in one of the precisions.
        """

    @abstractmethod
    def check(self, folder: Path, trained: Trained) -> str | None:
        """Loads what ``write`` wrote and compares it with the model.

        Returns:
            What could not be compared because something is not installed; ``None``: all was.

        Raises:
            StoreError: It computes something else.
        """

    def decoder(self, folder: Path, manifest: Manifest, length: int, precision: str | None) -> Model:
        """What writes text with the files of the format.

        Args:
            folder: Of those files.
            manifest: Description of the model.
            length: The most tokens of a sequence, those of the prompt included.
            precision: Of the weights, one of the format's; ``None``: any that is there.

        Raises:
            ConfigError: The files cannot be run here; the message says what to install.
            OSError, StoreError: One is missing or damaged.
            MemoryError: There is no room for so many tokens.
        """
        raise ConfigError(
            f"{self.title} is not run from here", value=self.name, place="--format", fix="see its README.md"
        )

    @abstractmethod
    def guide(self, manifest: Manifest, folder: str) -> str:
        """Markdown for the receiver: what to install, and code that runs it; without a heading.

        Args:
            manifest: Description of the model.
            folder: Of the format's files, as seen from the text.
        """


EXPORT_FORMATS: Registry[ExportFormat] = Registry(
    "export format", "star_core.exported.formats", "star.export_formats", "--format", ConfigError
)


def precisions_of(entry: ExportFormat, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted precisions that a format has; f32 if it has none of them."""
    return tuple(name for name in wanted if name in entry.precisions) or ("f32",)


def formats_of(names: Sequence[str], precisions: Sequence[str]) -> list[ExportFormat]:
    """The formats of these names, each once.

    Raises:
        ConfigError: There is none of that name; or a precision is none, or none that a chosen format has.
    """
    chosen = [EXPORT_FORMATS[name] for name in dict.fromkeys(names)]
    for precision in precisions:
        if not any(precision in entry.precisions for entry in chosen):
            having = [name for name in EXPORT_FORMATS.names() if precision in EXPORT_FORMATS[name].precisions]
            known = f"no format that is asked for stores weights so ({', '.join(having)} can)"
            raise ConfigError(
                known if having else "no such precision",
                value=precision,
                place="--weights",
                fix=f"add --format {having[0]}" if having else nearest(precision, PRECISIONS),
            )
    return chosen


def check_taken(formats: Sequence[ExportFormat], architecture: Architecture, tokens: Tokens) -> None:
    """Raises ``ConfigError`` with the reason why a format does not take an architecture."""
    for wanted in formats:
        if reason := wanted.refusal(architecture, tokens):
            fix = "leave it out; star inspect says which formats a genome leaves in"
            raise ConfigError(reason, value=wanted.name, place="--format", fix=fix)
