"""``genome.json`` of an exported model: what it is, and digests of what lies beside it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from star_core.architecture import Architecture
from star_core.compiler import compile_genome
from star_core.datasets.base import is_byte_corpus
from star_core.errors import StarError, StoreError
from star_core.genome import Genome
from star_core.genome.space import reading_space
from star_core.semantics import MODEL
from star_core.storage.sealed import Digest, Record, Sealed

GENOME, WEIGHTS, PROGRAM, GUIDE = "genome.json", "weights.safetensors", "program.pt2", "README.md"
TOKENIZER = "tokenizer.json"
EXPORT_AGAIN = "export it again: star export RUN:NAME --to FOLDER"


class Tokens(Record):
    """What token ids mean.

    Attributes:
        kind: ``bytes`` of UTF-8 text; ``tokenizer``: what the ``tokenizer.json`` in the folder makes of text;
            or ``ids`` of a vocabulary that is not known here.
        separator: Token between two documents; ``None``: none.
    """

    kind: Literal["bytes", "tokenizer", "ids"]
    separator: int | None

    @property
    def are_text(self) -> bool:
        """Whether text can be made of them."""
        return self.kind != "ids"


class Origin(Record):
    """Where the model comes from.

    Attributes:
        run, name: The run, and what the model is called in it.
        data_digest: Of the corpus.
        tokens: Trained on.
        sequence_length: Tokens of a training sequence.
        validation_loss: Nats per token after the training.
        bytes_per_token: Bytes of held-out text a token stands for, where a tokenizer made it.
        data, licence: Of the corpus, as stated; ``None``: not stated.
    """

    run: str
    name: str
    data_digest: Digest
    tokens: int = Field(ge=1)
    sequence_length: int = Field(ge=1)
    validation_loss: float
    bytes_per_token: float | None = Field(default=None, exclude_if=lambda value: value is None)
    data: str | None = Field(default=None, exclude_if=lambda value: value is None)
    licence: str | None = Field(default=None, exclude_if=lambda value: value is None)


class Program(Record):
    """The exported forward pass.

    Attributes:
        sha256: Of its file.
        torch: Version it was made by.
        lengths: Fewest and most tokens of a sequence.
        batch: Fewest and most sequences.
    """

    sha256: Digest
    torch: str
    lengths: tuple[int, int]
    batch: tuple[int, int]


class Manifest(Sealed):
    """An exported model.

    Attributes:
        star: Version of this package.
        semantics: Version of what a genome means (``star_core.semantics.MODEL``).
        genome: Text.
        preset: Search space that says what its integers mean.
        width, head_dim, vocab_size: Size.
        architecture: Digest of the compiled genome.
        weights: SHA-256 of the checkpoint.
        program: The forward pass, if it was exported too.
        files: SHA-256 of every file of every format, by its path in the folder; ``None``: of an older export,
            which had ``weights`` and ``program`` only.
    """

    FORMAT = "star-model"
    VERSION = 1
    LATER = frozenset({"files"})

    format: Literal["star-model"] = "star-model"
    version: Literal[1] = 1
    star: str
    semantics: int
    genome: str
    preset: str
    width: int
    head_dim: int
    vocab_size: int
    architecture: Digest
    tokens: Tokens
    origin: Origin
    weights: Digest
    program: Program | None = None
    files: dict[str, Digest] | None = None

    def compile(self) -> Architecture:
        """The architecture.

        Raises:
            StoreError: Exported when genomes meant something else.
            GenomeError, ConfigError: The genome or the size is not valid.
        """
        if self.semantics != MODEL:
            raise StoreError(
                f"genomes have meant something else since: version {MODEL} is read here",
                value=self.semantics,
                place="semantics",
                fix=f"install version {self.star} of STAR, or retrain and export with this version",
            )
        space = reading_space(self.preset)
        found = compile_genome(Genome.parse(self.genome), space, self.width, self.head_dim, self.vocab_size)
        if found.digest != self.architecture:
            raise StoreError(
                "the genome compiles to another architecture than was exported",
                value=self.architecture,
                place="architecture",
                fix=EXPORT_AGAIN,
            )
        return found


def tokens_of(vocab_size: int, separator: int | None, has_tokenizer: bool = False) -> Tokens:
    """What a corpus says of its tokens."""
    if has_tokenizer:
        return Tokens(kind="tokenizer", separator=separator)
    return Tokens(kind="bytes" if is_byte_corpus(vocab_size, separator) else "ids", separator=separator)


def check_compiled(manifest: Manifest, place: str) -> Architecture:
    """``manifest.compile``, whose errors name the file."""
    try:
        return manifest.compile()
    except StarError as error:
        raise error.at(place) from None
