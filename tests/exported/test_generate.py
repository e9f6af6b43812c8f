"""``star generate``: one text from every format, as it is decoded, and one message where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from star_core import load_exported
from star_core.errors import ConfigError, DataError, StarError, StoreError
from star_core.exported import generation
from star_core.exported.command import export_command
from star_core.exported.digests import sha256_of
from star_core.exported.generation import Writing, generate_command, lines
from star_core.graphs.runner import Text
from tests.exported.models import trained
from tests.livs.layers import PLACES
from tests.training.retrainings import retrained_run

FORMATS = ("onnx", "torch", "hf")
GREEDY = Writing(new_tokens=30, temperature=0)
PROMPTS = ["The heart", "", "And a much longer prompt, longer than a block of 64 tokens is, of a text"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return retrained_run(tmp_path_factory.mktemp("retrained"))


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory):
    """An export in all formats. Tests must not change it."""
    made = tmp_path_factory.mktemp("exported") / "model"
    export_command("main", "g000-00", root, made, formats=FORMATS, precisions=("f32", "int8"))
    return made


def written(source, root, prompts=("The heart",), writing=GREEDY, *options):
    found = generate_command(str(source), prompts, root, writing, *options).data
    return [entry["text"] for entry in found["texts"]]


@pytest.mark.parametrize("writing", [GREEDY, Writing(50, seed=3), Writing(50, seed=4, top_k=5, top_p=0.5)])
def test_every_format_writes_the_same(root, folder, writing):
    found = [written(folder, root, PROMPTS, writing, name) for name in FORMATS]
    assert found[0] == found[1] == found[2] == written("main:g000-00", root, PROMPTS, writing)
    assert len(set(found[0])) == 3
    assert all(len(text) > 10 for text in found[0])


def test_a_run_is_written_with_in_any_format(root, folder):
    for name in FORMATS:
        assert written("main:g000-00", root, PROMPTS, GREEDY, name) == written(folder, root, PROMPTS)
    assert written("main:g000-00", root, PROMPTS, GREEDY, "onnx", "int8") == written(
        folder, root, PROMPTS, GREEDY, None, "int8"
    )


def test_it_is_what_python_writes(root, folder):
    exported = load_exported(folder)
    assert written(folder, root, PROMPTS) == [exported.generate(prompt, 30) for prompt in PROMPTS]


def test_llama_cpp_writes_the_same(root, capfd):
    pytest.importorskip("llama_cpp")
    for writing in (GREEDY, Writing(50, seed=3)):
        found = written("main:transformer++", root, PROMPTS, writing, "gguf")
        assert found == written("main:transformer++", root, PROMPTS, writing, "torch")
    assert capfd.readouterr().err == ""


def test_a_text_does_not_depend_on_the_others(root, folder):
    writing = Writing(40, seed=7)
    alone = [written(folder, root, [prompt], writing)[0] for prompt in PROMPTS]
    assert written(folder, root, PROMPTS, writing) == alone
    assert written(folder, root, PROMPTS[:1], Writing(40, seed=8)) != alone[:1]


def test_one_text_is_shown_bare_and_several_under_their_prompts(root, folder, capsys):
    (text,) = written(folder, root)
    assert capsys.readouterr().out == f"{text}\n"
    first, second = written(folder, root, ["The", ""])
    assert capsys.readouterr().out == f"== The\n{first}\n== a new document\n{second}\n"


def test_it_stops_before_a_text(root, folder):
    (whole,) = written(folder, root, ["The"], Writing(60, seed=1))
    stop = whole[20:23]
    (found,) = written(folder, root, ["The"], Writing(60, seed=1, stops=("\0never", stop)))
    assert found == whole[: whole.index(stop)]
    assert written(folder, root, ["The"], Writing(0)) == [""]


def test_an_interrupted_line_is_ended(root, folder, capsys, monkeypatch):
    def interrupted(*_):
        yield ord("a")
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written(folder, root)
    assert capsys.readouterr().out == "a\n"


def test_what_a_model_writes_moves_no_cursor(root, folder, capsys, monkeypatch):
    monkeypatch.setattr(generation, "generate", lambda *_: iter(b"a\x1b[2Jb\n"))
    assert written(folder, root) == ["a\x1b[2Jb\n"]
    assert capsys.readouterr().out == "a\ufffd[2Jb\n\n"


def test_prompts_come_from_a_file(tmp_path):
    file = tmp_path / "prompts"
    file.write_text("The heart\n\nAnd\n")
    assert lines(file) == ["The heart", "And"]
    file.write_text("\n")
    with pytest.raises(DataError, match="no line has a prompt"):
        lines(file)
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read"):
        lines(file)
    with pytest.raises(DataError, match="No such file"):
        lines(tmp_path / "nowhere")


def test_an_exported_folder_needs_no_torch(root, folder):
    code = (
        "import sys; from star_core.exported.generation import *;"
        f"generate_command({str(folder)!r}, ['The heart'], {str(root)!r}, Writing(30, temperature=0));"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.stderr, result.stdout) == ("", f"{written(folder, root)[0]}\n")


def test_the_command_prints_text_or_one_document(folder, tmp_path):
    def star(*arguments):
        command = [str(Path(sys.executable).parent / "star"), "generate", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True).stdout

    options = ("The", "--new-tokens", "20", "--top-k", "9", "--seed", "5")
    found = json.loads(star(*options, "And", "--json"))
    assert (found["format"], found["writing"]["top_k"], found["writing"]["seed"]) == ("onnx", 9, 5)
    assert [entry["prompt"] for entry in found["texts"]] == ["The", "And"]
    (tmp_path / "prompts").write_text("The\n")
    assert star("--prompts", "prompts", *options[1:]) == f"{found['texts'][0]['text']}\n"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("nowhere", (), r"reads RUN:NAME, or is a folder"),
        ("other:g000-00", (), "has no retrained weights.*star retrain other"),
        ("main:g000-01", (), "its training ended as diverged.*star retrain main"),
        ("main:g000-00", ("gguf",), r"LIV 1 \(Rec-1\)"),
        ("main:g000-00", ("onxx",), "did you mean 'onnx'"),
        ("main:g000-00", ("onnx", "int2"), "--weights: 'int2'"),
        ("main:g000-00", ("torch", "int8"), "no format that is asked for"),
        ("FOLDER", ("gguf",), "not in the folder.*onnx or torch or hf"),
        ("FOLDER", ("onnx", "int4"), "step-int4.onnx is missing.*f32 or int8"),
    ],
)
def test_what_cannot_write_is_one_message(root, folder, source, options, message):
    with pytest.raises(StarError, match=message):
        written(folder if source == "FOLDER" else source, root, ["The"], GREEDY, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top-p"),
        ({"stops": ("",)}, "not empty"),
    ],
)
def test_options_that_mean_nothing(options, message):
    with pytest.raises(ConfigError, match=message):
        Writing(**options)


def test_more_tokens_than_fit_into_memory(root, folder):
    with pytest.raises(ConfigError, match="do not fit into memory"):
        written(folder, root, ["The"], Writing(10**17), "torch")


def test_weights_that_are_no_numbers_and_a_full_disk_are_one_message(root, folder, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generation, "generate", lambda *_: (_ for _ in ()).throw(ValueError("NaN")))
    with pytest.raises(StoreError, match=r"cannot write \(NaN\)"):
        written(folder, root)
    monkeypatch.setattr("star_core.graphs.files.write_graph", full)
    with pytest.raises(StoreError, match="No space left"):
        written("main:g000-00", root)


def test_tokens_without_text_are_numbers(tmp_path, capsys):
    source = trained("11111", PLACES["SA-1"][0], vocab_size=300, separator=None)
    text, size = Text("ids", None), source.manifest.vocab_size
    assert generation._encoded(text, "1 2 299", size) == [1, 2, 299]
    with pytest.raises(DataError, match=r"ids of a vocabulary.*write them as numbers"):
        generation._encoded(text, "In the beginning", size)
    for prompt in ("", "300", "-1"):
        with pytest.raises(DataError, match="at least one token, each a number from 0 to 299"):
            generation._encoded(text, prompt, size)


def test_code_of_others_is_not_run(root, folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    code = copy / "hf/modeling_star.py"
    code.write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n" + code.read_text())
    manifest = generation.Manifest.read(copy / "genome.json", "")
    digest = sha256_of(code)
    files = dict(manifest.files or {}) | {"hf/modeling_star.py": digest}
    manifest.model_copy(update={"files": files}).write(copy / "genome.json")
    with pytest.raises(ConfigError, match="others' code is not run"):
        written(copy, root, ["The"], GREEDY, "hf")
    assert not (tmp_path / "ran").exists()


def test_a_changed_file_is_found(root, folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    with (copy / "onnx/weights.bin").open("r+b") as file:
        file.write(b"\1")
    with pytest.raises(StarError, match=r"weights\.bin.*SHA-256"):
        written(copy, root)


def test_the_card_shows_what_it_writes(root, folder):
    card = (folder / "README.md").read_text()
    assert "Beginnings of documents, at temperature 0.8 and top-p 0.95, by the seeds 0, 1, 2." in card
    (text,) = written(folder, root, [""], Writing(120))
    shown = "".join(letter for letter in text if letter.isalnum())
    assert shown
    assert shown in "".join(letter for letter in card if letter.isalnum())
    assert "Beginnings of documents" in (folder / "onnx/README.md").read_text()
