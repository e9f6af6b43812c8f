"""The README of an exported model."""

from __future__ import annotations

from star_core.exported.manifest import PROGRAM, Manifest

_TEXT = """\
# {title}

A language model of {layers} LIVs and width {width}, exported by star-open {star}.
Genome `{genome}`; trained on {tokens:,} tokens, validation loss {loss:.4f} nats per token.

Load it (`pip install star-open`, version {star} or one that reads semantics version {semantics}):

```python
from star_core import load_exported

exported = load_exported(".")  # this folder; every digest is checked
{use}
```

`exported.model` is a `torch.nn.Module`: int64 tokens (batch, length) to logits (batch, length, {vocabulary}).
`prefill`, `step` and `generate` decode with a cache. It was trained on sequences of {length} tokens.
Token ids are {kind}.
"""
_PROGRAM = """
`{file}` is the forward pass as a torch.export program, made by torch {torch}: {lengths} and
{batch[0]} to {batch[1]} sequences at once. It needs torch, not star-open:

```python
import torch

program = torch.export.load("{file}").module()
logits = program(torch.zeros(1, {example}, dtype=torch.long))
```
"""


def guide(manifest: Manifest) -> str:
    """What the model is and how to use it, in a few lines."""
    is_text = manifest.tokens.kind == "bytes"
    separator = manifest.tokens.separator
    between = "" if separator is None else f"; {separator} separates documents"
    text = _TEXT.format(
        title=f"{manifest.origin.name}, of run {manifest.origin.run}",
        layers=len(manifest.compile().layers),
        width=manifest.width,
        star=manifest.star,
        genome=manifest.genome,
        tokens=manifest.origin.tokens,
        loss=manifest.origin.validation_loss,
        semantics=manifest.semantics,
        use='print(exported.generate("In the beginning", new_tokens=200))'
        if is_text
        else "tokens = exported.model.generate(torch.tensor([[1, 2, 3]]), new_tokens=200)  # import torch",
        vocabulary=manifest.vocab_size,
        length=manifest.origin.sequence_length,
        kind=("the bytes of UTF-8 text" if is_text else "those of the run's own token files") + between,
    )
    program = manifest.program
    if program is None:
        return text
    low, high = program.lengths
    return text + _PROGRAM.format(
        file=PROGRAM,
        torch=program.torch,
        lengths=f"{low} to {high} tokens" if low != high else f"exactly {low} tokens",
        batch=program.batch,
        example=high if low == high else 16,
    )
