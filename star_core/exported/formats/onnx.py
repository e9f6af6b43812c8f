"""Two ONNX graphs, their weights, and a runner that needs onnxruntime and numpy only."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from star_core.architecture import Architecture
from star_core.errors import ConfigError, StoreError
from star_core.exported.format import EXPORT_FORMATS, PRECISIONS, ExportFormat, Trained
from star_core.exported.manifest import EXPORT_AGAIN, TOKENIZER, Manifest, Tokens
from star_core.structures.base import PAPER_STRUCTURES

if TYPE_CHECKING:
    from star_core.graphs.runner import Model
    from star_core.models import LanguageModel

RUNNER = "run.py"
TOLERANCE = 1e-3
"""Largest difference between logits, against the largest logit."""
LENGTH, PROMPT = 160, 130
"""Tokens compared, and those of them read at once, behind the first."""
_GUIDE = """\
Needs `pip install {packages}`, nothing of STAR and no torch:

```
python {folder}/run.py {prompt} --new-tokens 200
```

`run.py` is one file to read or to copy from; `--help` lists temperature, top-k, top-p, stop, seed, threads.
`step.onnx` reads one token, `block.onnx` as many as its input says, and `weights.bin` has the weights of
both; files of weights in 8 or 4 bit have that in their names.{note}
"""
_IDS = " A token is a number of the run's own vocabulary: `run.py` reads and writes numbers."


class ONNX(ExportFormat):
    """A folder that runs by itself; a precision other than f32 is part of its files' names."""

    name = "onnx"
    title = "ONNX Runtime"
    needs = "onnxruntime and numpy"
    precisions = PRECISIONS

    def refusal(self, architecture: Architecture, tokens: Tokens) -> str | None:
        """A structure of another package that has no graph."""
        for layer in architecture.layers:
            allele = layer.liv_class.operator.token_mixing
            if allele not in PAPER_STRUCTURES:
                from star_core.graphs import graph_mixer_of

                try:
                    graph_mixer_of(allele)
                except ConfigError:
                    return (
                        f"LIV {layer.index + 1} ({layer.liv_class.name}) is of a structure whose package "
                        "brings no graph (an entry point in star.graphs); genomes without it can be written"
                    )
        return None

    def write(self, folder: Path, trained: Trained, precisions: Sequence[str]) -> None:
        """Graphs, weights and runner."""
        from star_core.graphs import runner
        from star_core.graphs.files import write_files

        told = {"tokens": trained.manifest.tokens.model_dump()}
        for precision in precisions:
            write_files(folder, trained.model.arch, trained.arrays, precision, told)
        shutil.copyfile(runner.__file__, folder / RUNNER)
        if trained.tokenizer is not None:
            (folder / TOKENIZER).write_bytes(trained.tokenizer)

    def check(self, folder: Path, trained: Trained) -> str | None:
        """Logits by blocks and steps, against the model, its matrices rounded as they are stored."""
        from star_core.graphs.runner import file_names

        for precision in PRECISIONS:
            if not (folder / file_names(precision)[0]).exists():
                continue
            error = _error(_exact(folder, precision), _rounded(trained.model, precision))
            if not error <= TOLERANCE:
                raise StoreError(
                    f"logits differ from the model's by more than {TOLERANCE} of the largest",
                    value=error,
                    place=str(folder / file_names(precision)[0]),
                    fix=f"{EXPORT_AGAIN}; if that does not help, leave --format onnx out",
                )
        return None

    def decoder(self, folder: Path, manifest: Manifest, length: int, precision: str | None) -> Model:
        """As ``run.py`` opens it."""
        from star_core.graphs.runner import opened

        return opened(folder, precision)

    def guide(self, manifest: Manifest, folder: str) -> str:
        """A first text."""
        kind = manifest.tokens.kind
        return _GUIDE.format(
            folder=folder,
            packages="onnxruntime numpy" + (" tokenizers" if kind == "tokenizer" else ""),
            prompt='"1 2 3"' if kind == "ids" else '"In the beginning"',
            note=_IDS if kind == "ids" else "",
        )


def _exact(folder: Path, precision: str) -> Model:
    """The graphs as they are, but for products with 8 or 4 bit, before which nothing is rounded to 8 bit.

    That rounding is the runtime's, and through many LIVs it hides what would be wrong in the files.
    """
    import onnx

    from star_core.graphs.runner import Decoder, file_names

    copies = []
    try:
        for name in file_names(precision)[:2]:
            proto = onnx.load(folder / name, load_external_data=False)
            for node in proto.graph.node:
                for attribute in node.attribute:
                    if attribute.name == "accuracy_level":
                        attribute.i = 1
            copies.append(folder / f"exact-{name}")  # beside the weights, which it names
            copies[-1].write_bytes(proto.SerializeToString())
        step, block = map(str, copies)
        return Decoder(step, block)
    finally:
        for copied in copies:
            copied.unlink(missing_ok=True)


def _rounded(model: LanguageModel, precision: str) -> LanguageModel:
    import torch

    from star_core.graphs.quantised import BITS, quantise

    if not BITS[precision]:
        return model
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and name.rpartition(".")[2] in ("embedding", "projection", "output"):
                weight.copy_(torch.from_numpy(quantise(weight.numpy(), BITS[precision]).restored()))
    return model


def _error(decoder: Model, model: LanguageModel) -> float:
    """Largest difference of logits behind blocks and steps, in units of the largest logit."""
    import torch

    tokens_1L = torch.randint(
        0, model.arch.vocab_size, (1, LENGTH), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        wanted_LV = model(tokens_1L)[0]
    tokens, worst = tokens_1L[0].tolist(), 0.0
    for begin, end in ((0, 1), (1, PROMPT), *((at, at + 1) for at in range(PROMPT, LENGTH))):
        found_V = torch.from_numpy(decoder.feed(tokens[begin:end]))
        worst = max(worst, float((found_V - wanted_LV[end - 1]).abs().max()))
    return worst / float(wanted_LV.abs().max())


EXPORT_FORMATS.add(ONNX.name, ONNX())
