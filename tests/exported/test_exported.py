"""``star export``: a folder of use without its run, whole or absent, and checked when it is loaded."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from star_core import SearchSpace, compile_genome, load_exported, semantics
from star_core.analysis.terminal.output import Output
from star_core.datasets.base import licence_of
from star_core.datasets.tokenizer import ByteTokenizer
from star_core.errors import ConfigError, DataError, StarError, StoreError
from star_core.exported import folder as exported_folder
from star_core.exported.command import export_command
from star_core.exported.folder import check_free
from star_core.exported.format import EXPORT_FORMATS
from star_core.exported.leaving import with_formats
from star_core.exported.manifest import Manifest, tokens_of
from star_core.exported.program import export_program
from star_core.training.retrained import Retrained
from tests.exported import models
from tests.livs.layers import PLACES
from tests.training.retrainings import GENOMES, retrained_run

TABLE = PLACES["SA-1"][0]


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
    prompt = ByteTokenizer().encode("The heart")
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
        ({"semantics": semantics.MODEL + 1}, r"meant something else.*install version 0"),
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


@pytest.fixture(scope="module")
def everywhere(root, tmp_path_factory):
    """A model in several formats. Tests must not change it."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_command("main", "transformer++", root, folder, formats=["torch", "hf", "gguf"])
    return folder


def test_several_formats_at_once_have_a_folder_and_a_card_each(everywhere):
    found = sorted(
        path.relative_to(everywhere).as_posix() for path in everywhere.rglob("*") if path.is_file()
    )
    assert found == [
        "README.md",
        "genome.json",
        "gguf/README.md",
        "gguf/model-f32.gguf",
        "hf/README.md",
        "hf/config.json",
        "hf/generation_config.json",
        "hf/model.safetensors",
        "hf/tokenizer.json",
        "hf/tokenizer_config.json",
        "weights.safetensors",
    ]
    manifest = load_exported(everywhere).manifest
    written = [name for name in found if not name.endswith(("README.md", "genome.json"))]
    assert manifest.files == {name: exported_folder.sha256_of(everywhere / name) for name in written}
    card = (everywhere / "README.md").read_text()
    for told in ("it is a Llama", "licence of the data | not stated", f"`{manifest.genome}`"):
        assert told in card
    assert f"{manifest.origin.validation_loss:.4f} nats" in card
    assert 'from_pretrained("hf")' in card
    assert 'from_pretrained(".")' in (everywhere / "hf/README.md").read_text()
    assert "llama-cli -m gguf/model-f32.gguf" in card
    assert "star-open" not in card


def test_the_card_s_code_for_transformers_runs_in_its_folder_alone(everywhere, tmp_path):
    folder = shutil.copytree(everywhere / "hf", tmp_path / "taken away")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.S)
    result = subprocess.run(
        [sys.executable, "-c", code.replace("200", "20")],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("In the beginning")


def test_a_changed_file_of_any_format_is_found_and_one_left_out_is_not_missed(everywhere, tmp_path):
    folder = Path(shutil.copytree(everywhere, tmp_path / "copy"))
    path = folder / "hf/model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreError, match=r"hf/model\.safetensors.*SHA-256"):
        load_exported(folder)
    shutil.rmtree(folder / "hf")
    load_exported(folder)


def test_a_folder_of_older_exports_is_read(copy):
    origin = Manifest.read(copy / "genome.json", "").origin.model_copy(update={"data": None})
    rewrite(copy, files=None, origin=origin)
    content = json.loads((copy / "genome.json").read_text())
    assert "files" not in content
    assert not {"data", "licence"} & content["origin"].keys()
    load_exported(copy)
    (copy / "weights.safetensors").write_bytes(b"")
    with pytest.raises(StoreError, match="SHA-256"):
        load_exported(copy)


def test_without_torch_among_its_formats_a_folder_says_which_it_has(root, tmp_path):
    export_command("main", "transformer++", root, tmp_path / "model", formats=["hf"])
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["README.md", "genome.json", "hf"]
    with pytest.raises(StoreError, match=r"\['hf'\].*other formats only.*--format torch"):
        load_exported(tmp_path / "model")


def test_what_cannot_be_written_is_refused_before_anything_is(root, tmp_path):
    with pytest.raises(ConfigError, match=r"--format: 'gguf': LIV 1 \(Rec-1\) is in neither.*star inspect"):
        export_command("main", "g000-00", root, tmp_path / "model", formats=["torch", "gguf"])
    with pytest.raises(ConfigError, match=r"--format: 'guff': no such export format.*gguf"):
        export_command("main", "g000-00", root, tmp_path / "model", formats=["guff"])
    with pytest.raises(ConfigError, match=r"--weights: 'int4': no format that is asked for.*gguf"):
        export_command("main", "g000-00", root, tmp_path / "model", precisions=["int4"])
    with pytest.raises(ConfigError, match=r"--weights: 'q9': no such precision.*f32, int8, int4"):
        export_command("main", "g000-00", root, tmp_path / "model", precisions=["q9"])
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_fails_its_check_leaves_nothing(root, tmp_path, monkeypatch):
    def damaged(self, folder, trained):
        raise StoreError("something else", place=str(folder))

    monkeypatch.setattr(type(EXPORT_FORMATS["gguf"]), "check", damaged)
    with pytest.raises(StoreError, match="something else"):
        export_command("main", "transformer++", root, tmp_path / "model", formats=["torch", "hf", "gguf"])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_message_and_leaves_nothing(root, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for name in ("hf", "gguf"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_bytes" if name == "hf" else "open", full)
            with pytest.raises(StoreError, match=r"cannot be written \(No space left on device\)"):
                exported_folder.export_model(
                    tmp_path / "model", models.trained("11111-91111", TABLE), [EXPORT_FORMATS[name]]
                )
        assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_checked_is_said(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "gguf", None)
    export_command("main", "transformer++", root, tmp_path / "model", formats=["hf", "gguf"])
    said = capsys.readouterr().out
    assert "hf (native Llama), gguf (llama, f32)" in said
    assert "hf: not compared with the model: transformers is not installed" in said
    assert "gguf: not read back, because the package gguf is not installed" in said


def test_the_default_corpus_states_its_licence():
    assert licence_of("kjv") == "public domain"
    assert licence_of("texts/mine") is None


@pytest.mark.parametrize("space", ["paper", "extended", "lfm2", "lfm2-norm", "attention", "full"])
def test_every_genome_leaves_in_some_format_and_is_told_why_not_in_others(space):
    rng = np.random.default_rng(0)
    for genome in (SearchSpace.preset(space, depth=3).sample(rng) for _ in range(20)):
        found = with_formats(Output({}), compile_genome(genome, SearchSpace.preset(space, depth=3), 32))
        assert {"torch", "hf"} <= found.data["leaves_as"].keys()
        for reason in found.data["does_not_leave_as"].values():
            assert re.search(r"LIV \d|tokens", reason)
        assert not found.data["leaves_as"].keys() & found.data["does_not_leave_as"].keys()


def test_asking_where_a_genome_can_go_imports_no_torch():
    code = (
        "import sys; from star_core.exported.format import EXPORT_FORMATS; "
        "assert len(EXPORT_FORMATS.names()) >= 3; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_takes_formats_with_commas_and_repeated(root, tmp_path):
    (tmp_path / "data").symlink_to(root)
    command = [sys.executable, "-m", "star_core.cli", "export", "main:transformer++", "--to", "model"]
    options = ["--format", "hf, gguf", "--format", "torch", "--weights", "f32"]
    result = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "hf (native Llama), gguf (llama, f32), torch" in result.stdout
    assert (tmp_path / "model/gguf/model-f32.gguf").exists()
