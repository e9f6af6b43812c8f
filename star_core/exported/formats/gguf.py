"""A file for llama.cpp, and all that reads its files: genomes that are a Llama or an LFM2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from star_core.architecture import Architecture
from star_core.datasets.base import DOCUMENT_END
from star_core.errors import ConfigError, StoreError
from star_core.exported.format import EXPORT_FORMATS, ExportFormat, Trained
from star_core.exported.gguf_file import BLOCK, F32, Q4_0, Q8_0, Storage, write_gguf
from star_core.exported.hf.config import EPSILON, ROTATION
from star_core.exported.hf.tokenizer import byte_letters
from star_core.exported.manifest import EXPORT_AGAIN, Manifest, Tokens
from star_core.exported.native import Native, Unmapped, native

if TYPE_CHECKING:
    from star_core.graphs.runner import Model

if TYPE_CHECKING:
    from star_core.models import LanguageModel  # imports torch

_NAMES = {
    "mixer_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "q_norm": "attn_q_norm",
    "k_norm": "attn_k_norm",
    "in": "shortconv.in_proj",
    "taps": "shortconv.conv",
    "out": "shortconv.out_proj",
    "unit_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
_STORAGES = {"f32": F32, "int8": Q8_0, "int4": Q4_0}
_ROUNDING = {Q8_0: 0.6 / 127, Q4_0: 1.01 / 8}
"""Largest error of a number, against the largest of its block."""
_GUIDE = """\
Needs [llama.cpp](https://github.com/ggml-org/llama.cpp), or anything that reads its files:

```
llama-cli -m {folder}/{file} -no-cnv -p "In the beginning" -n 200 --temp 0.8 --top-p 0.95
```
{several}"""
_NORMAL, _CONTROL = 1, 3


class GGUF(ExportFormat):
    """Architecture ``llama`` or ``lfm2`` of llama.cpp, one file for each precision."""

    name = "gguf"
    title = "llama.cpp (GGUF)"
    needs = "llama.cpp"
    precisions = tuple(_STORAGES)

    def refusal(self, architecture: Architecture, tokens: Tokens) -> str | None:
        """What is neither of the two; and a vocabulary that cannot be written into the file."""
        if tokens.kind == "tokenizer":
            return "the file holds the tokenizer, and only that of bytes is written there"
        if tokens.kind != "bytes":
            return (
                "its tokens are ids of a vocabulary that is not known here, and the file holds the tokenizer"
            )
        try:
            native(architecture)
        except Unmapped as error:
            return str(error)
        return None

    def kind(self, architecture: Architecture) -> str:
        """Which of them."""
        found = native(architecture)
        return found.called(found.family)

    def write(self, folder: Path, trained: Trained, precisions: Sequence[str]) -> None:
        """A file for each precision."""
        origin = trained.manifest.origin
        for precision in precisions:
            path = folder / _file(_STORAGES[precision])
            title = f"{origin.name}, of run {origin.run}"
            write_model(path, trained.model, title, origin.sequence_length, precision)

    def check(self, folder: Path, trained: Trained) -> str | None:
        """Every tensor as another reader has it, within the rounding of its storage."""
        try:
            import gguf
        except ImportError:
            return "not read back, because the package gguf is not installed (pip install gguf)"
        for storage in _STORAGES.values():
            path = folder / _file(storage)
            if path.exists():
                _compare(gguf, path, trained, storage)
        return None

    def decoder(self, folder: Path, manifest: Manifest, length: int, precision: str | None) -> Model:
        """As llama.cpp reads it, through its package for Python."""
        try:
            import llama_cpp  # noqa: F401
        except ImportError:
            raise ConfigError(
                "llama-cpp-python is not installed",
                value=self.name,
                place="--format",
                fix="pip install llama-cpp-python, or use llama.cpp itself as the file's README.md says",
            ) from None
        from star_core.exported.llama_decoder import LlamaDecoder

        files = [folder / _file(_STORAGES[name]) for name in ([precision] if precision else _STORAGES)]
        path = next((file for file in files if file.exists()), files[0])
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; the model was exported with other weights")
        return LlamaDecoder(path, length)

    def guide(self, manifest: Manifest, folder: str) -> str:
        """A first text, with each file there is."""
        stated = manifest.files or {}
        files = [
            _file(storage) for storage in _STORAGES.values() if f"{self.name}/{_file(storage)}" in stated
        ]
        several = f"Or {', '.join(files[1:])}: weights of fewer bits.\n" if files[1:] else ""
        return _GUIDE.format(folder=folder, file=files[0], several=several)


def write_model(path: Path, model: LanguageModel, title: str, length: int, precision: str) -> None:
    """Writes the file of a model.

    Args:
        path: Of the file.
        model: A Llama or an LFM2, over bytes.
        title: For people.
        length: Tokens of the sequences it was made for.
        precision: Of its matrices.

    Raises:
        Unmapped: It is neither.
        ConfigError: Its rows are not whole blocks of quantised weights.
        OSError: The file cannot be written.
    """
    if precision != "f32" and model.arch.width % BLOCK:
        raise ConfigError(
            f"{precision} weights are in blocks of {BLOCK}, of which the width is a multiple",
            value=model.arch.width,
            place="--weights",
            fix="use f32, or star retrain with another --width",
        )
    storage = _STORAGES[precision]
    write_gguf(path, _values(model, title, length, storage), _stored(model, storage))


def _file(storage: Storage) -> str:
    return f"model-{storage.name}.gguf"


def _values(model: LanguageModel, title: str, length: int, storage: Storage) -> dict[str, Any]:
    """Hyperparameters and tokenizer."""
    architecture, found = model.arch, native(model.arch)
    key_heads: int | list[int] = found.key_heads
    if found.family == "lfm2":
        key_heads = [found.key_heads if attends else 0 for attends in found.attends]
    sizes: dict[str, Any] = {
        "context_length": length,
        "embedding_length": architecture.width,
        "block_count": len(found.blocks),
        "feed_forward_length": found.hidden,
        "vocab_size": architecture.vocab_size,
        "attention.head_count": found.heads,
        "attention.head_count_kv": key_heads,
        "attention.key_length": found.head_dim,
        "attention.value_length": found.head_dim,
        "attention.layer_norm_rms_epsilon": EPSILON,
        "rope.dimension_count": found.head_dim,
        "rope.freq_base": ROTATION,
    }
    if found.family == "lfm2":
        sizes["shortconv.l_cache"] = found.taps
    letters = byte_letters()
    letters[DOCUMENT_END] = "<|end|>"
    return {
        "general.architecture": found.family,
        "general.name": title,
        "general.file_type": storage.file_code,
        "general.quantization_version": 2,
        **{f"{found.family}.{name}": value for name, value in sizes.items()},
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": letters,
        "tokenizer.ggml.token_type": [_CONTROL if byte == DOCUMENT_END else _NORMAL for byte in range(256)],
        "tokenizer.ggml.merges": [f"{letters[255]} {letters[255]}"],  # one is wanted; no text has this byte
        "tokenizer.ggml.bos_token_id": DOCUMENT_END,
        "tokenizer.ggml.eos_token_id": DOCUMENT_END,
        "tokenizer.ggml.padding_token_id": DOCUMENT_END,
        "tokenizer.ggml.add_bos_token": False,
    }


def _stored(model: LanguageModel, wanted: Storage) -> Iterator[tuple[str, Any, Storage]]:
    """Matrices as wanted, as far as their rows are whole blocks; the rest, which is little, in f32."""
    for name, tensor in _tensors(model):
        numbers = tensor.numpy()
        matrix = numbers.ndim == 2 and numbers.shape[1] % BLOCK == 0 and "conv.weight" not in name
        # The embedding is the head too: its errors are those of every logit.
        storage = Q8_0 if name == "token_embd.weight" and wanted is Q4_0 else wanted
        yield name, numbers, storage if matrix else F32


def _tensors(model: LanguageModel) -> Iterator[tuple[str, Any]]:
    from star_core.exported.native_weights import native_weights

    found: Native = native(model.arch)
    last = "output_norm" if found.family == "llama" else "token_embd_norm"
    yield "token_embd.weight", model.embedding.detach()
    yield f"{last}.weight", model.get_parameter("backbone.norm").detach()
    for depth, name, tensor in native_weights(model, found, halves=found.family == "lfm2"):
        yield f"blk.{depth}.{_NAMES[name]}.weight", tensor


def _compare(gguf: Any, path: Path, trained: Trained, stored: Storage) -> None:
    """Raises ``StoreError`` if a tensor of a file is not the model's, but for rounding."""
    read = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    wanted = {name: (numbers, storage) for name, numbers, storage in _stored(trained.model, stored)}
    if read.keys() != wanted.keys():
        raise StoreError(
            "it has the model's tensors",
            value=sorted(read.keys() ^ wanted.keys())[:5],
            place=str(path),
            fix=EXPORT_AGAIN,
        )
    for name, (numbers, storage) in wanted.items():
        found = gguf.dequantize(read[name].data, read[name].tensor_type).reshape(numbers.shape)
        error = np.abs(found - numbers)
        bound = 0.0
        if storage is not F32:
            error = error.reshape(-1, BLOCK)
            largest = np.abs(numbers).reshape(-1, BLOCK).max(1, keepdims=True)
            bound = _ROUNDING[storage] * largest + 1e-7  # scales that small are rounded to few bits, or zero
        if not (error <= bound).all():
            raise StoreError(
                f"the tensor {name} is not the model's",
                value=float(error.max()),
                place=str(path),
                fix=EXPORT_AGAIN,
            )


EXPORT_FORMATS.add(GGUF.name, GGUF())
