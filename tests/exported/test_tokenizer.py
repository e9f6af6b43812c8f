"""Models whose tokens a tokenizer made leave with it, and write text wherever they are loaded."""

import json
import math
import subprocess
import sys

import pytest
import torch

from star_core import load_exported
from star_core.errors import ConfigError, StoreError
from star_core.exported.command import export_command
from star_core.exported.generation import Writing, generate_command
from star_core.graphs.runner import Text
from star_core.training.retrained import Retrained
from tests.training.retrainings import retrained_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return retrained_run(tmp_path_factory.mktemp("retrained"), tokenizer="bpe:280")


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_command("main", "transformer++", root, folder, formats=("torch", "hf", "onnx"))
    return folder


def test_the_folder_writes_text(root, folder):
    exported, data = load_exported(folder), Retrained.read("main", root).corpus(root)
    prompt = data.tokenizer.encode("The heart")
    assert len(prompt) < len("The heart")
    found = exported.model.generate(torch.tensor([prompt]), 20)[0, len(prompt) :].tolist()
    if data.tokenizer.separator in found:
        found = found[: found.index(data.tokenizer.separator)]
    assert exported.generate("The heart", 20) == data.tokenizer.decode(found)
    assert exported.manifest.tokens.kind == "tokenizer"
    assert exported.manifest.origin.bytes_per_token == data.bytes_per_token
    loss = exported.manifest.origin.validation_loss
    bits = f"{loss / math.log(2) / data.bytes_per_token:.3f} bits per byte"
    assert bits in (folder / "README.md").read_text()


def test_transformers_and_the_runner_of_graphs_make_the_same_tokens(root, folder):
    transformers = pytest.importorskip("transformers")
    data = Retrained.read("main", root).corpus(root)
    theirs = transformers.AutoTokenizer.from_pretrained(folder / "hf")
    ours = Text("tokenizer", data.tokenizer.separator, (folder / "tokenizer.json").read_bytes())
    for text in ("The heart of the matter.", "  Wörter,\n\tと", "a"):
        tokens = data.tokenizer.encode(text)
        assert theirs(text)["input_ids"] == tokens == ours.encode(text)
        assert theirs.decode(tokens) == text == "".join(ours.decode(iter(tokens)))
    assert theirs.eos_token_id == data.tokenizer.separator
    assert ours.encode("") == [data.tokenizer.separator]


def test_the_runner_in_the_folder_and_generate_write_the_same_text(folder, capsys):
    ran = subprocess.run(
        [sys.executable, folder / "onnx" / "run.py", "The heart", "--new-tokens", "12"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    written = []
    for name in ("onnx", "torch", "hf"):
        generate_command(str(folder), ["The heart"], folder, Writing(new_tokens=12), name)
        written.append(capsys.readouterr().out)
    assert written == [ran.stdout] * 3


def test_what_a_format_cannot_hold_is_refused(root, tmp_path):
    with pytest.raises(ConfigError, match="tokenizer"):
        export_command("main", "transformer++", root, tmp_path / "model", formats=("gguf",))


def test_another_tokenizer_is_refused(root, tmp_path):
    export_command("main", "transformer++", root, tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(StoreError, match="SHA-256"):
        load_exported(tmp_path / "model")
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        load_exported(tmp_path / "model")
