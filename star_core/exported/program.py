"""The forward pass as a torch.export program: a graph that needs torch and nothing of STAR."""

from __future__ import annotations

import io
import warnings

import torch

from star_core.errors import ConfigError
from star_core.models import LanguageModel

MAX_BATCH = 64
"""Sequences at once; fewer do as well."""


def export_program(model: LanguageModel, length: int) -> tuple[bytes, tuple[int, int]]:
    """The program, and the fewest and most tokens of a sequence it takes.

    Recurrences, long filters and linear attention go through a sequence in chunks whose number is part of
    the graph, so models that have one take sequences of ``length`` tokens and no others; shorter ones are to
    be filled up behind. Other models take any number up to ``length``.

    Raises:
        ConfigError: Torch cannot export this architecture.
    """
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    program, lengths = None, (length, length)
    if length > 2:
        any_length = torch.export.Dim("length", min=2, max=length)
        try:
            program, lengths = _export(model, length, {0: batch, 1: any_length}), (2, length)
        except Exception:
            program = None  # the structures of this model fix the length
    try:
        program = program or _export(model, length, {0: batch})
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(
            f"torch cannot export this architecture ({reason})", place="--program", fix="leave --program out"
        ) from error
    content = io.BytesIO()
    torch.export.save(program, content)
    return content.getvalue(), lengths


def _export(
    model: LanguageModel, length: int, sizes: dict[int, torch.export.Dim]
) -> torch.export.ExportedProgram:
    example_BL = torch.zeros(2, length, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about its own internals
        return torch.export.export(model, (example_BL,), dynamic_shapes={"tokens_BL": sizes})
