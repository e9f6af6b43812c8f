"""``--format onnx``: a folder that computes what the model does, with onnxruntime and numpy alone."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
import safetensors.torch

from star_core.errors import StoreError
from star_core.exported.decoder import TorchDecoder
from star_core.exported.format import EXPORT_FORMATS, PRECISIONS
from star_core.exported.formats.onnx import TOLERANCE, _error, _rounded
from star_core.graphs import runner
from star_core.graphs.files import write_files
from star_core.graphs.runner import Sampling, Text, file_names, generate, opened
from star_core.graphs.samples import samples
from star_core.training.checkpoint import owned_tensors
from tests.exported.models import trained
from tests.livs.layers import PLACES

ONNX = EXPORT_FORMATS["onnx"]
TABLE = PLACES["SA-1"][0]
SHARED = "21211-31112-21221-32112"


def source(genome="11111-71111-91111", width=32, **options):
    return trained(genome, TABLE, width, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All precisions of a model of bytes. Tests must not change it."""
    made = tmp_path_factory.mktemp("onnx")
    ONNX.write(made, source(), PRECISIONS)
    return made


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A model of a vocabulary without text. Tests must not change it."""
    made = tmp_path_factory.mktemp("ids")
    ONNX.write(made, source(vocab_size=300, separator=None), ["f32"])
    return made


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """Runs a Python that has onnxruntime and numpy, but neither torch nor this package."""
    site = tmp_path_factory.mktemp("site")
    for package in (np, onnxruntime):
        here = Path(package.__file__).parent
        for found in (here, here.with_name(f"{here.name}.libs")):
            if found.exists():
                (site / found.name).symlink_to(found)

    def run(*arguments, code=0):
        result = subprocess.run(
            [sys.executable, "-S", *map(str, arguments)],
            env={"PYTHONPATH": str(site), "PATH": os.environ["PATH"]},
            cwd=site,
            capture_output=True,
            check=False,
        )
        assert result.returncode == code, result.stderr
        return result.stdout.decode(), result.stderr.decode()

    for missing in ("torch", "star_core", "onnx"):
        assert f"No module named {missing!r}" in run("-c", f"import {missing}", code=1)[1]
    return run


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("genome", [SHARED, "51111-81111-31112"])
def test_what_is_written_is_the_model(genome, precision, tmp_path):
    model = source(genome)
    assert ONNX.refusal(model.model.arch, model.manifest.tokens) is None
    ONNX.write(tmp_path, model, [precision])
    before = sorted(tmp_path.iterdir())
    assert ONNX.check(tmp_path, model) is None
    assert sorted(tmp_path.iterdir()) == before
    bound = 1e-5 if precision == "f32" else 0.05  # what such weights are multiplied by is rounded, too
    assert _error(opened(tmp_path), _rounded(model.model, precision)) < bound
    other = source(genome)
    other.model.get_parameter("backbone.norm").data *= -1
    assert _error(opened(tmp_path), other.model) > TOLERANCE
    with pytest.raises(StoreError, match="logits differ"):
        ONNX.check(tmp_path, other)


def test_a_graph_is_small_because_weights_lie_beside_it_once(folder):
    for precision in PRECISIONS:
        step, block, beside = file_names(precision)
        places: dict[str, dict[int, int]] = {step: {}, block: {}}
        for name, found in places.items():
            proto = onnx.load(folder / name, load_external_data=False)
            for tensor in proto.graph.initializer:
                if tensor.data_location != onnx.TensorProto.EXTERNAL:
                    assert len(tensor.raw_data) < 1024
                    continue
                where = {entry.key: entry.value for entry in tensor.external_data}
                assert where["location"] == beside
                begin, length = int(where["offset"]), int(where["length"])
                assert begin % (4096 if length >= 4096 else 64) == 0
                found[begin] = length
            onnx.checker.check_model(str(folder / name), full_check=precision == "f32")
        assert len(places[step]) >= 6
        # A block has one matrix more: of the convolution, over its tokens.
        assert len(places[step].items() - places[block].items()) == 0
        last = max(places[block])
        assert (folder / beside).stat().st_size == last + places[block][last]
    large = source(width=64)
    write_files(folder.parent, large.model.arch, large.arrays)
    for name in file_names("f32")[:2]:
        ratio = (folder.parent / name).stat().st_size / (folder / name).stat().st_size
        assert ratio < 1.2


def test_large_tensors_begin_where_windows_can_map_them(tmp_path):
    model = source("91111", 64, vocab_size=5000, separator=None)
    write_files(tmp_path, model.model.arch, model.arrays)
    proto = onnx.load(tmp_path / "step.onnx", load_external_data=False)
    (embedding,) = (tensor for tensor in proto.graph.initializer if tensor.name == "embedding")
    where = {entry.key: int(entry.value) for entry in embedding.external_data if entry.key != "location"}
    assert where["length"] == 5000 * 64 * 4
    assert where["offset"] % 65536 == 0


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_scales_that_are_wrong_by_a_little_are_found_behind_many_livs(precision, tmp_path):
    model = source("-".join(["11111", "91111"] * 8))
    ONNX.write(tmp_path, model, [precision])
    for name in file_names(precision)[:2]:
        proto = onnx.load(tmp_path / name, load_external_data=False)
        (scales,) = (x for x in proto.graph.initializer if x.name == "backbone.layers.0.output.scales")
        scales.raw_data = (np.frombuffer(scales.raw_data, np.float32) * np.float32(1.02)).tobytes()
        (tmp_path / name).write_bytes(proto.SerializeToString())
    with pytest.raises(StoreError, match="logits differ"):
        ONNX.check(tmp_path, model)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_receiver_needs_onnxruntime_and_numpy_only(folder, receiver, precision):
    said, warned = receiver(folder / "run.py", "The heart", "--new-tokens", 30, "--weights", precision)
    assert warned == ""
    decoder, text = opened(folder, precision), Text("bytes", 0)
    tokens = generate(decoder, text.encode("The heart"), 30, Sampling(), 0, 0)
    assert said == "".join(text.decode(tokens)) + "\n"
    assert said.strip()


def test_tokens_without_text_are_numbers(numbers, receiver):
    said, _ = receiver(numbers / "run.py", "1 2 299", "--new-tokens", 5, "--temperature", 0)
    model = TorchDecoder(source(vocab_size=300, separator=None).model, 8)
    expected = generate(model, [1, 2, 299], 5, Sampling(temperature=0))
    assert said.split() == list(map(str, expected))
    _, warned = receiver(numbers / "run.py", "In the beginning", code=2)
    assert warned == (
        "run.py: the tokens of this model are ids of a vocabulary that is not known here: "
        'write them as numbers, such as "1 2 3"\n'
    )


@pytest.mark.parametrize(
    ("prompt", "said"), [("", "at least one token"), ("1 300", "from 0 to 299"), ("-1", "from 0 to 299")]
)
def test_a_prompt_that_is_none_of_the_model_s(numbers, capsys, monkeypatch, prompt, said):
    assert said in refusal(numbers, capsys, monkeypatch, "--", prompt)


def refusal(folder, capsys, monkeypatch, *arguments):
    """The one line that ``run.py`` says."""
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    spec = importlib.util.spec_from_file_location("run_copy", folder / "run.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "run_copy", module)
    spec.loader.exec_module(module)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    found = capsys.readouterr()
    assert found.out.strip() == ""
    assert found.err.startswith("run.py: ")
    assert found.err.count("\n") == 1
    return found.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--temperature", "hot"], "--temperature: invalid float value"),
        (["--temperature", "nan"], "temperature and top-k are at least 0"),
        (["--top-p", "0"], "top-p is above 0"),
        (["--new-tokens", "-1"], "at least 0"),
        (["--stop", ""], "not empty"),
        (["--weights", "int2"], "invalid choice: 'int2'"),
        (["--beams", "4"], "unrecognized arguments: --beams"),
        (["two", "prompts"], "unrecognized arguments: prompts"),
    ],
)
def test_a_bad_option_is_one_line(folder, capsys, monkeypatch, arguments, said):
    assert said in refusal(folder, capsys, monkeypatch, *arguments)


def test_a_missing_file_and_a_damaged_one_are_one_line(tmp_path, capsys, monkeypatch):
    ONNX.write(tmp_path, source(), ["int8"])
    said = refusal(tmp_path, capsys, monkeypatch, "--weights", "f32")
    assert "step.onnx is missing: copy the whole folder, or use the weights int8" in said
    (tmp_path / "step-int8.onnx").write_bytes(b"no graph")
    assert "step-int8.onnx" in refusal(tmp_path, capsys, monkeypatch)
    (tmp_path / "weights-int8.bin").unlink()
    assert "weights-int8.bin is missing" in refusal(tmp_path, capsys, monkeypatch)


def test_more_than_memory_holds_is_one_line(folder, capsys, monkeypatch):
    def full(*_):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(np, "zeros", full)
    assert "not enough memory" in refusal(folder, capsys, monkeypatch, "The")


def test_nobody_reads_on(folder, receiver):
    command = f"'{sys.executable}' '{folder / 'run.py'}' The --new-tokens 5000 | head -c 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert result.stderr == b""


def test_half_a_character_is_not_written():
    text = Text("bytes", 0)
    whole = "a\u20acb".encode()
    assert list(text.decode(iter(whole))) == ["a", "", "", "\u20ac", "b"]
    assert "".join(text.decode(iter(whole[:3]))) == "a"
    assert "".join(text.decode(iter(whole[:2] + whole[4:]))) == "a\ufffdb"


def test_samples_follow_from_the_weights_as_they_are_stored():
    model = source(SHARED)
    found = samples(model.model.arch, model.arrays, Text("bytes", 0))
    stored = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in owned_tensors(model.model).items()}
    )
    assert samples(model.model.arch, safetensors.numpy.load(stored), Text("bytes", 0)) == found
    assert len(set(found)) == 3
    assert not any("\0" in text for text in found)


def test_the_runner_is_copied_as_it_is(folder):
    assert (folder / "run.py").read_bytes() == Path(runner.__file__).read_bytes()
