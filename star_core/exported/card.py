"""The model card: README of an exported model, and of each of its formats that has a folder of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import indent

from star_core.analysis.terminal.output import printable
from star_core.exported.format import ExportFormat
from star_core.exported.manifest import PROGRAM, TOKENIZER, Manifest
from star_core.graphs.samples import SAMPLING, SEEDS
from star_core.objectives.perplexity import Bits

_TEXT = """\
# {title}

A language model of {layers} LIVs and width {width} ({parameters:,} parameters), exported by STAR {star}.

| | |
|---|---|
| genome | `{genome}` |
| trained on | {tokens:,} tokens, in sequences of {length} |
| data | {data} |
| licence of the data | {licence} |
| validation loss | {loss:.4f} nats per token (perplexity {perplexity:.3f}, {bits:.3f} bits per {unit}) |
| tokens | {kind} |
"""
_PROGRAM = """
## torch.export program

`{file}` is the forward pass, made by torch {torch}: {lengths} and {batch[0]} to {batch[1]} sequences at once.
It needs torch, nothing else:

```python
import torch

program = torch.export.load("{file}").module()
logits = program(torch.zeros(1, {example}, dtype=torch.long))
```
"""
_SAMPLES = """
## What it writes

Beginnings of documents, at temperature {0.temperature} and top-p {0.top_p}, by the seeds {1}.
"""


_KINDS = {
    "bytes": "the bytes of UTF-8 text",
    "tokenizer": f"of `{TOKENIZER}`, which the package tokenizers reads",
    "ids": "ids of the run's own token files",
}


def card(manifest: Manifest, formats: Sequence[tuple[ExportFormat, str]], written: Sequence[str] = ()) -> str:
    """Where the model comes from and how to run it, in a few lines.

    Args:
        manifest: Description of the model.
        formats: Those it is written in, each with its folder as seen from the card.
        written: Samples of the model, one for each of ``star_core.graphs.samples.SEEDS``.
    """
    origin, architecture = manifest.origin, manifest.compile()
    separator = manifest.tokens.separator
    bits = Bits.of_tokens(manifest.vocab_size, origin.bytes_per_token)
    text = _TEXT.format(
        title=f"{origin.name}, of run {origin.run}",
        layers=len(architecture.layers),
        width=manifest.width,
        parameters=architecture.num_parameters,
        star=manifest.star,
        genome=manifest.genome,
        tokens=origin.tokens,
        length=origin.sequence_length,
        data=_cell(origin.data),
        licence=_cell(origin.licence),
        loss=origin.validation_loss,
        perplexity=math.exp(min(origin.validation_loss, 700)),
        bits=origin.validation_loss / math.log(2) / (bits.bytes_per_token or 1.0),
        unit=bits.unit,
        kind=_KINDS[manifest.tokens.kind]
        + ("" if separator is None else f"; {separator} separates documents"),
    )
    for entry, folder in formats:
        text += f"\n## {entry.title}\n\n{entry.guide(manifest, folder)}"
    program = manifest.program
    if program is not None:
        low, high = program.lengths
        text += _PROGRAM.format(
            file=PROGRAM,
            torch=program.torch,
            lengths=f"{low} to {high} tokens" if low != high else f"exactly {low} tokens",
            batch=program.batch,
            example=high if low == high else 16,
        )
    if written:
        text += _SAMPLES.format(SAMPLING, ", ".join(map(str, SEEDS)))
    for sample in written:
        # An indented block, which nothing in it can end; a comment keeps two of them apart.
        text += f"\n<!-- -->\n\n{indent(printable(sample).strip() or '(nothing)', ' ' * 4)}\n"
    return text


def _cell(text: str | None) -> str:
    """What a table of Markdown can hold of a text from elsewhere."""
    return " ".join((text or "not stated").split()).replace("|", r"\|")
