"""``star export``: a folder of use without its run, whole or absent, and checked when it is loaded."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from star_core import load_exported, semantics
from star_core.datasets.byte_tokens import encode
from star_core.errors import ConfigError, DataError, StarError, StoreError
from star_core.exported import folder as exported_folder
from star_core.exported.command import export_command
from star_core.exported.folder import check_free
from star_core.exported.manifest import Manifest, tokens_of
from star_core.exported.program import export_program
from star_core.training.retrained import Retrained
from tests.training.retrainings import GENOMES, retrained_run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return retrained_run(tmp_path_factory.mktemp("retrained"))


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
    """An exported model. Tests must not change it."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_command("main", "g000-00", root, folder)
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "copy"))


def trained(root, name):
    retrained = Retrained.read("main", root)
    (entry,) = retrained.entries([name])
    return retrained.model(entry, retrained.corpus(root))


def test_the_folder_is_the_model_without_its_run(root, made, generator):
    assert sorted(path.name for path in made.iterdir()) == ["README.md", "genome.json", "weights.safetensors"]
    exported = load_exported(made)
    tokens_BL = torch.randint(0, 256, (2, 20), generator=generator)
    assert torch.equal(exported.model(tokens_BL), trained(root, "g000-00")(tokens_BL))
    manifest = exported.manifest
    assert (manifest.genome, manifest.width, manifest.vocab_size) == (GENOMES["g000-00"], 16, 256)
    assert (manifest.semantics, manifest.tokens.kind, manifest.tokens.separator) == (
        semantics.MODEL,
        "bytes",
        0,
    )
    assert (manifest.origin.run, manifest.origin.name) == ("main", "g000-00")
    assert not exported.model.training


def test_it_writes_text_as_its_model_writes_tokens(made):
    exported = load_exported(made)
    prompt = encode("The heart")
    found = exported.model.generate(torch.tensor([prompt]), 30)[0, len(prompt) :].tolist()
    assert exported.generate("The heart", 30) == bytes(found).decode(errors="replace").split("\0")[0]
    assert len(exported.generate("", 5)) <= 5
    assert exported.generate("The", 9, 1.0, seed=1) == exported.generate("The", 9, 1.0, seed=1)
    assert len({exported.generate("The", 9, 1.0, seed=seed) for seed in range(4)}) > 1
    ids = exported.manifest.model_copy(update={"tokens": tokens_of(256, None)})
    with pytest.raises(DataError, match=r"ids of a vocabulary.*model\.generate"):
        type(exported)(ids, exported.model).generate("The")


def test_the_guide_s_code_runs_in_the_folder_alone(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "taken away")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.strip()) > 20


@pytest.mark.parametrize("name", ["weights.safetensors", "genome.json"])
def test_one_flipped_bit_is_found(copy, name):
    path = copy / name
    content = path.read_bytes()
    for at in (9, len(content) // 2, len(content) - 3):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(StoreError) as caught:
            load_exported(copy)
        assert name in caught.value.place
        if name.startswith("weights"):
            assert "SHA-256" in caught.value.rule
            assert "star export" in caught.value.fix
    path.write_bytes(content)
    load_exported(copy)
    path.unlink()
    with pytest.raises(StoreError, match=f"{name}: cannot be read"):
        load_exported(copy)


def test_another_model_s_weights_are_refused_though_their_digest_is_stated(root, copy):
    shutil.copy(root / "retrain/main/transformer++.safetensors", copy / "weights.safetensors")
    rewrite(copy, weights=exported_folder.sha256_of(copy / "weights.safetensors"), files=None)
    with pytest.raises(StoreError, match="not those of the architecture"):
        load_exported(copy)


def rewrite(folder, **changes):
    manifest = Manifest.read(folder / "genome.json", "")
    manifest.model_copy(update=changes).write(folder / "genome.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"semantics": semantics.MODEL + 1}, r"meant something else.*install star-open 0"),
        ({"width": 32}, "compiles to another architecture"),
        ({"genome": "91111"}, "compiles to another architecture"),
        ({"genome": "no genome"}, "genome.json"),
        ({"preset": "none"}, "genome.json"),
    ],
)
def test_what_no_longer_means_the_same_is_refused(copy, changes, message):
    rewrite(copy, **changes)
    with pytest.raises(StarError, match=message) as caught:
        load_exported(copy)
    assert str(copy / "genome.json") in caught.value.place


def test_nothing_is_overwritten(root, made, tmp_path):
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (made, file, tmp_path / "link"):
        with pytest.raises(ConfigError, match="new or empty folder") as caught:
            export_command("main", "transformer++", root, folder)
        assert caught.value.place == str(folder)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    (tmp_path / "empty").mkdir()
    export_command("main", "transformer++", root, tmp_path / "empty")
    assert load_exported(tmp_path / "empty").manifest.origin.name == "transformer++"
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_filled_meanwhile_is_left_alone(root, tmp_path, monkeypatch):
    folder = tmp_path / "model"

    def free_then_filled(path):
        check_free(path)
        path.mkdir(exist_ok=True)
        (path / "mine").touch()

    monkeypatch.setattr(exported_folder, "check_free", free_then_filled)
    with pytest.raises(StoreError, match="cannot be written"):
        export_command("main", "g000-00", root, folder)
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failure_leaves_nothing(root, tmp_path, monkeypatch):
    monkeypatch.setattr(
        exported_folder, "card", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(StoreError, match="No space left"):
        export_command("main", "g000-00", root, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"), [("g000-01", "ended as diverged"), ("g999-99", "no such architecture")]
)
def test_what_has_no_weights_is_named(root, tmp_path, name, message):
    with pytest.raises(StarError, match=message):
        export_command("main", name, root, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("name", "low"), [("transformer++", 2), ("g000-00", 32)])
def test_the_program_computes_what_the_model_does(root, tmp_path, capsys, generator, name, low):
    export_command("main", name, root, tmp_path / "model", program=True)
    said = f"{low} to 32" if low != 32 else "exactly 32"
    assert said in capsys.readouterr().out
    guide = (tmp_path / "model/README.md").read_text()
    assert said in guide
    exported = load_exported(tmp_path / "model")
    assert exported.manifest.program.lengths == (low, 32)
    program = torch.export.load(tmp_path / "model/program.pt2").module()
    for batch, length in ((1, low), (3, 32), (64, (low + 32) // 2)):
        tokens_BL = torch.randint(0, 256, (batch, length), generator=generator)
        torch.testing.assert_close(program(tokens_BL), exported.model(tokens_BL), rtol=1e-4, atol=1e-4)
    content = (tmp_path / "model/program.pt2").read_bytes()
    (tmp_path / "model/program.pt2").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"program\.pt2.*SHA-256"):
        load_exported(tmp_path / "model")
    (tmp_path / "model/program.pt2").unlink()  # nobody has to keep it
    load_exported(tmp_path / "model")


def test_an_architecture_that_torch_cannot_export_is_said_so(root, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("data-dependent\n  control flow")

    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(
        ConfigError, match=r"cannot export this architecture \(RuntimeError: data-dependent con"
    ):
        export_program(trained(root, "g000-00"), 16)


def test_the_manifest_is_plain_json(made):
    content = json.loads((made / "genome.json").read_text())
    assert content["format"] == "star-model"
    assert content["tokens"] == {"kind": "bytes", "separator": 0}
