"""A folder for Hugging Face's transformers: a native Llama or LFM2, or a modelling file of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from star_core.architecture import Architecture
from star_core.datasets.tokenizer import VocabularyTokenizer
from star_core.errors import ConfigError
from star_core.exported.format import EXPORT_FORMATS, ExportFormat, Trained
from star_core.exported.hf.config import MODELING, generation_config, native_config, own_config
from star_core.exported.hf.tokenizer import tokenizer_config, tokenizer_files
from star_core.exported.manifest import TOKENIZER, Manifest, Tokens
from star_core.exported.native import NAMES, Native, Unmapped, native
from star_core.structures.base import PAPER_STRUCTURES

if TYPE_CHECKING:
    from star_core.graphs.runner import Model

_NAMES = {
    "llama": {
        "mixer_norm": "input_layernorm",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "o": "self_attn.o_proj",
        "unit_norm": "post_attention_layernorm",
        "gate": "mlp.gate_proj",
        "up": "mlp.up_proj",
        "down": "mlp.down_proj",
    },
    "lfm2": {
        "mixer_norm": "operator_norm",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "o": "self_attn.out_proj",
        "q_norm": "self_attn.q_layernorm",
        "k_norm": "self_attn.k_layernorm",
        "in": "conv.in_proj",
        "taps": "conv.conv",
        "out": "conv.out_proj",
        "unit_norm": "ffn_norm",
        "gate": "feed_forward.w1",
        "up": "feed_forward.w3",
        "down": "feed_forward.w2",
    },
}
_GUIDE = """\
Needs `pip install torch transformers` (transformers 5 or newer), nothing of STAR{code}.

```python
from transformers import AutoModelForCausalLM{and_tokenizer}

model = AutoModelForCausalLM.from_pretrained("{folder}"{trust})
{use}
```
"""
_TEXT = """\
tokenizer = AutoTokenizer.from_pretrained("{folder}"{trust})
prompt = tokenizer("In the beginning", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=200)[0], skip_special_tokens=True))"""
_IDS = "tokens = model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=200)  # import torch"


class HuggingFace(ExportFormat):
    """Everything that ``from_pretrained`` reads: no file of it needs transformers to be written."""

    name = "hf"
    title = "Hugging Face transformers"
    needs = "torch and transformers"

    def refusal(self, architecture: Architecture, tokens: Tokens) -> str | None:
        """Another package's structures are not in the modelling file."""
        for layer in architecture.layers:
            if layer.liv_class.operator.token_mixing not in PAPER_STRUCTURES:
                return (
                    f"LIV {layer.index + 1} ({layer.liv_class.name}) is of another package's structure, "
                    "which the modelling file does not have; genomes without it can be written"
                )
        return None

    def kind(self, architecture: Architecture) -> str:
        """Native, or with a file of its own."""
        found = _native(architecture)
        return found.called(f"native {NAMES[found.family]}") if found else "its own modelling file"

    def write(self, folder: Path, trained: Trained, precisions: Sequence[str]) -> None:
        """Configuration, weights, tokenizer, and the modelling file where one is needed."""
        import safetensors.torch

        from star_core.training.checkpoint import owned_tensors

        manifest, model = trained.manifest, trained.model
        found = _native(model.arch)
        if found is None:
            shutil.copyfile(_modeling(), folder / f"{MODELING}.py")
            config, tensors = own_config(manifest, model.arch), owned_tensors(model)
        else:
            config, tensors = native_config(manifest, found), _native_tensors(trained, found)
        files = {"config.json": config, "generation_config.json": generation_config(manifest)}
        length = manifest.origin.sequence_length
        if trained.tokenizer is not None:
            end = VocabularyTokenizer(trained.tokenizer, TOKENIZER).end
            files["tokenizer_config.json"] = tokenizer_config(length, end)
            (folder / TOKENIZER).write_bytes(trained.tokenizer)
        elif manifest.tokens.kind == "bytes":
            files |= tokenizer_files(length)
        for name, content in files.items():
            text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "model.safetensors").write_bytes(safetensors.torch.save(tensors, {"format": "pt"}))

    def check(self, folder: Path, trained: Trained) -> str | None:
        """Logits of whole sequences, and token by token from a cache."""
        try:
            import transformers  # noqa: F401
        except ImportError:
            return "not compared with the model: transformers is not installed (pip install transformers)"
        from star_core.exported.hf.comparison import compare, load

        compare(load(folder, _native(trained.model.arch)), trained.model, folder)
        return None

    def decoder(self, folder: Path, manifest: Manifest, length: int, precision: str | None) -> Model:
        """As transformers loads it; of a modelling file only this version's own is run."""
        try:
            import transformers  # noqa: F401
        except ImportError:
            raise ConfigError(
                "transformers is not installed",
                value=self.name,
                place="--format",
                fix="pip install transformers",
            ) from None
        from star_core.exported.decoder import TransformersDecoder
        from star_core.exported.hf.comparison import load

        found, code = _native(manifest.compile()), folder / f"{MODELING}.py"
        if found is None and code.read_bytes() != _modeling().read_bytes():
            raise ConfigError(
                "this is not the modelling file of this version, and others' code is not run",
                value=self.name,
                place=str(code),
                fix="use another --format, or load it with transformers if you trust it",
            )
        return TransformersDecoder(load(folder, found))

    def guide(self, manifest: Manifest, folder: str) -> str:
        """Loading it, and a first text."""
        found = _native(manifest.compile())
        text = manifest.tokens.are_text
        trust = "" if found else ", trust_remote_code=True"
        return _GUIDE.format(
            code=(
                f": it is a {NAMES[found.family]}"
                if found
                else f". `{MODELING}.py` is run, which is why `trust_remote_code` is asked for"
            ),
            and_tokenizer=", AutoTokenizer" if text else "",
            folder=folder,
            trust=trust,
            use=_TEXT.format(folder=folder, trust=trust) if text else _IDS,
        )


def _modeling() -> Path:
    from star_core.exported import hf

    return Path(hf.__path__[0]) / f"{MODELING}.py"


def _native(architecture: Architecture) -> Native | None:
    """The Llama or LFM2 that a genome is."""
    try:
        return native(architecture)
    except Unmapped:
        return None


def _native_tensors(trained: Trained, found: Native) -> dict[str, Any]:
    from star_core.exported.native_weights import native_weights

    names, model = _NAMES[found.family], trained.model
    last = "norm" if found.family == "llama" else "embedding_norm"
    tensors = {
        "model.embed_tokens.weight": model.embedding.detach(),
        f"model.{last}.weight": model.get_parameter("backbone.norm").detach(),
    }
    for depth, name, tensor in native_weights(model, found, halves=True):
        tensors[f"model.layers.{depth}.{names[name]}.weight"] = (
            tensor.unsqueeze(1) if name == "taps" else tensor
        )
    return tensors


EXPORT_FORMATS.add(HuggingFace.name, HuggingFace())
