"""What every candidate is made of and learns from: data, space, model and training."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from star_core.config.section import FROM_LIST, ExtensibleSection, Section
from star_core.errors import DataError
from star_core.registry import Registry

MAX_VOCABULARY = 1 << 18
"""Tokens a vocabulary has at most."""
BPE = "bpe:"
"""How ``data.tokenizer`` begins where one is trained."""
_LEAST_BPE = 257
"""All bytes, and the token between documents."""

Beta = Annotated[float, Field(ge=0, lt=1)]


class Data(ExtensibleSection):
    """What the models learn from.

    A dataset of a plug-in may have settings of its own, under its name.

    Attributes:
        source: ``kjv`` (the default corpus) or another dataset by its name, or a file, a folder, a pattern or
            an fsspec URL of text (``.txt``, ``.md``, source code, ``.jsonl``, ``.csv``, ``.parquet``,
            ``.arrow``, each also ``.gz`` or ``.zst``), or a folder of token shards; or a list of them.
        validation_fraction: Share of the documents' text held out for validation. Documents are
            never split between training and validation (a lone document is cut once).
        tokenizer: What makes tokens of text: ``bytes``; ``bpe:8192``, byte-pair encoding with so many tokens,
            trained on the documents to train on; or the path of a ``tokenizer.json`` (Hugging Face).
        text_key: Field of a record (of ``.jsonl``, ``.csv``, ``.parquet``, ``.arrow``) that is its text.
    """

    plugins: ClassVar[Registry[Any]] = Registry(
        "dataset", "star_core.datasets", "star.datasets", "data.source", DataError
    )

    source: str | list[str] = "kjv"
    validation_fraction: float = Field(default=0.05, gt=0, lt=1)
    tokenizer: str = "bytes"
    text_key: str = Field(default="text", min_length=1)

    @property
    def bpe_size(self) -> int | None:
        """Tokens of the encoding that is to be trained; ``None``: none is."""
        return int(self.tokenizer[len(BPE) :]) if self.tokenizer.startswith(BPE) else None

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_named(cls, tokenizer: str) -> str:
        size = tokenizer[len(BPE) :] if tokenizer.startswith(BPE) else str(_LEAST_BPE)
        if not size.isdecimal() or len(size) > 6 or not _LEAST_BPE <= int(size) <= MAX_VOCABULARY:
            raise ValueError(f"bpe:N has from {_LEAST_BPE} to {MAX_VOCABULARY} tokens")
        if not tokenizer:
            raise ValueError("bytes, bpe:8192, or the path of a tokenizer.json")
        return tokenizer


class Space(Section):
    """Which genomes exist.

    Attributes:
        preset: ``paper``, ``extended``, ``lfm2``, ``lfm2-norm``, ``attention``: LIV classes of the table;
            ``full``: a genome brings its own, which evolve with it.
        depth: LIVs of a genome; the most of them if ``min_depth`` is given.
        min_depth: LIVs a genome has at least; ``null``: all have ``depth``.
        groups: Sharing indices run from 1 to this.
        classes: Classes that a genome of ``full`` brings.
        novelty: Share of a founder's classes, in ``full``, that are drawn from all valid ones; the others are
            rows of the class table.
        class_mutation: Mutations expected in a class of ``full`` for each expected in a gene of the backbone.
        structures: Operator structures beside the paper's, by name: their LIV classes join those of the
            preset, and classes of ``full`` may have them. No other installed structure has a part in the run.
    """

    preset: str = "paper"
    depth: int = Field(default=8, ge=1, le=256)
    groups: int = Field(default=4, ge=1, le=35)
    min_depth: int | None = Field(default=None, ge=1, le=256)
    classes: int = Field(default=8, ge=1, le=17)
    novelty: float = Field(default=0.25, ge=0, le=1)
    class_mutation: float = Field(default=1.0, ge=0, le=100)
    structures: Annotated[tuple[str, ...], FROM_LIST] = ()

    @property
    def depths(self) -> range:
        """Numbers of LIVs a genome may have."""
        return range(self.depth if self.min_depth is None else self.min_depth, self.depth + 1)

    @property
    def depth_in_words(self) -> str:
        """The same for messages."""
        return f"{self.depth} LIVs" if self.min_depth is None else f"{self.min_depth} to {self.depth} LIVs"

    @model_validator(mode="after")
    def _depths_rise(self) -> Space:
        if not self.depths:
            raise ValueError(f"min_depth is at most depth ({self.depth})")
        return self


class Model(Section):
    """At which size genomes are built.

    Attributes:
        width: Channels of the residual stream.
        head_dim: Channels per head; ``null``: the largest power of two up to 64 that leaves a
            multiple of four heads.
    """

    width: int = Field(default=64, ge=8, le=65536)
    head_dim: int | None = Field(default=None, ge=2)


class Training(Section):
    """The recipe every candidate is trained by (arXiv 2411.17800, §5, scaled down).

    Attributes:
        steps: Optimiser steps.
        batch_size: Sequences per step.
        sequence_length: Tokens per sequence.
        learning_rate: Peak rate; ``null``: the paper's 8e-4 at width 768, scaled by ``768 / width``
            as Adam's rate for hidden matrices is in maximal-update parametrisation (arXiv 2203.03466).
        warmup_steps: Steps of linear warm-up; a cosine down to a tenth of the peak follows.
        weight_decay: Of matrices; vectors are not decayed.
        betas: AdamW's.
        clip: Largest norm of the gradient.
        validation_tokens: Tokens the validation loss is measured on (capped by what there is).
        precision: ``fp32`` or ``bf16`` (autocast).
        accelerator: As Lightning's: ``auto`` takes a GPU when there is one.
        threads: CPU threads of a candidate. Results are bit-reproducible with 1.
        seed: Of initial weights and order of the data; one for all candidates.
    """

    steps: int = Field(default=100, ge=1)
    batch_size: int = Field(default=4, ge=1)
    sequence_length: int = Field(default=256, ge=2)
    learning_rate: float | None = Field(default=None, gt=0)
    warmup_steps: int = Field(default=10, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
    betas: Annotated[tuple[Beta, Beta], FROM_LIST] = (0.9, 0.95)
    clip: float = Field(default=1.0, gt=0)
    validation_tokens: int = Field(default=16384, ge=2)
    precision: Literal["fp32", "bf16"] = "fp32"
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    threads: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)

    @property
    def tokens(self) -> int:
        """Tokens a candidate is trained on."""
        return self.tokens_until(None)

    def tokens_until(self, stop: int | None) -> int:
        """Tokens of the steps before ``stop``; ``None``: of all."""
        return (self.steps if stop is None else stop) * self.batch_size * self.sequence_length

    def peak_rate(self, width: int) -> float:
        """Peak learning rate at this width."""
        return self.learning_rate if self.learning_rate is not None else 8e-4 * 768 / width
