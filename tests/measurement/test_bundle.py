"""A bundle: written here, run as on another device, brought back, and what is refused on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from star_core import Genome, SearchSpace, compile_genome
from star_core.config import Objectives, digest_json
from star_core.errors import ConfigError, StarError, StoreError
from star_core.graphs.runner import file_names
from star_core.measurement.bundle import Bundle, design, read_measurements, write_bundle
from star_core.objectives.devices import liv_key

GENOMES = ("71111", "71111-71111", "91111-71111", "91111")
SECTION = Objectives(prompt_length=8, cache_length=16)


def specs(*texts, width=16):
    return [compile_genome(Genome.parse(text), SearchSpace.preset(), width) for text in texts]


def run(folder, *options, **environment):
    """``measure.py`` as a device runs it: with this package nowhere to be found."""
    blocked = folder.parent / "blocked" / "star_core"
    blocked.mkdir(parents=True, exist_ok=True)
    (blocked / "__init__.py").write_text("raise ImportError('the package is not on this device')")
    return subprocess.run(
        [sys.executable, str(folder / "measure.py"), "--repeats", "3", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(blocked.parent), **environment},
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device") / "bundle"
    write_bundle(folder, specs(*GENOMES), SECTION)
    return folder


@pytest.fixture(scope="module")
def measured(bundle):
    result = run(bundle)
    assert result.returncode == 0, result.stderr
    return bundle / "measurements.json", result.stderr


def changed(path, to, change, seal=False):
    """A copy of a measurements file with a change, sealed again or not."""
    content = json.loads(path.read_text())
    change(content)
    if seal:
        del content["digest"]
        content["digest"] = digest_json(content)
    to.write_text(json.dumps(content))
    return to


def test_a_bundle_is_graphs_their_list_and_what_measures_them(bundle):
    made = Bundle.read(bundle / "bundle.json", "")
    assert [entry.genome for entry in made.entries] == list(GENOMES)
    for entry in made.entries:
        assert {path.name for path in (bundle / entry.folder).iterdir()} == set(file_names("f32"))
    for name, source in (("runner", "graphs/runner"), ("timing", "measurement/timing")):
        package = Path(__file__).parents[2] / "star_core" / f"{source}.py"
        assert (bundle / f"{name}.py").read_text() == package.read_text()
    assert "star_core" not in (bundle / "measure.py").read_text()
    assert [path.name for path in bundle.parent.iterdir() if path.name.startswith(".")] == []


def test_what_a_device_measures_is_read_and_belongs_to_its_genomes(measured):
    path, said = measured
    assert "first tokens: round 3 of 3" in said
    assert "memory of model 4 of 4" in said
    found, architectures = read_measurements(path)
    assert [figure.genome for figure in found.figures] == list(GENOMES)
    assert [spec.digest for spec in architectures] == [figure.digest for figure in found.figures]
    for figure in found.figures:
        assert 0 < figure.decode_seconds_per_token.median < figure.prefill_seconds.median
        if sys.platform == "linux":
            assert figure.peak_memory_bytes >= 0
    assert (found.threads, found.prompt, found.context, found.weights) == (1, 8, 16, "f32")
    assert found.machine["cores"]


def test_a_graph_that_the_device_refuses_is_named_and_the_others_go_on(tmp_path):
    folder = tmp_path / "bundle"
    made = write_bundle(folder, specs(*GENOMES[:2]), SECTION)
    (folder / made.entries[0].folder / "step.onnx").write_bytes(b"no graph")
    result = run(folder)
    assert result.returncode == 0, result.stderr
    assert "71111 is left out" in result.stderr
    found, _ = read_measurements(folder / "measurements.json")
    assert found.figures[0].decode_seconds_per_token is None
    assert found.figures[0].refused
    assert found.figures[1].refused is None
    (folder / "measurements.json").unlink()
    (folder / made.entries[1].folder / "step.onnx").write_bytes(b"no graph")
    result = run(folder)
    assert result.returncode == 1
    assert "opens none of these graphs" in result.stderr
    assert "reads opset 23" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (folder / "measurements.json").exists()


def test_a_device_without_onnxruntime_is_told_so(bundle, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('No module named onnxruntime')")
    result = run(bundle, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "pip install onnxruntime numpy" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("change", "seal", "message"),
    [
        (
            lambda content: content["figures"][0]["prefill_seconds"].update(median=1e-9),
            False,
            "it was changed",
        ),
        (lambda content: content.update(format="star-generation"), True, "not a star-measurements file"),
        (lambda content: content.update(version=2), True, "format version 1 is read here"),
        (lambda content: content["figures"][0].update(genome="91111"), True, "of another genome"),
        (lambda content: content["figures"][0].update(genome="x"), True, r"figures\.0"),
        (
            lambda content: content["figures"][1]["prefill_seconds"].update(median=-1.0),
            True,
            "greater than 0",
        ),
        (lambda content: content["figures"][1].update(speed=1.0), True, "speed"),
        (lambda content: content.update(semantics=0), True, "have meant something else"),
    ],
)
def test_what_was_edited_or_is_of_something_else_is_refused(measured, tmp_path, change, seal, message):
    path = changed(measured[0], tmp_path / "changed.json", change, seal)
    with pytest.raises(StarError, match=message):
        read_measurements(path)


def test_numbers_that_are_none_are_refused(measured, tmp_path):
    text = measured[0].read_text()
    median = json.loads(text)["figures"][0]["prefill_seconds"]["median"]
    (tmp_path / "nan.json").write_text(text.replace(f'"median": {median!r}', '"median": NaN', 1))
    with pytest.raises(StoreError, match="NaN is not a number that may stand in a file"):
        read_measurements(tmp_path / "nan.json")


def test_a_bundle_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    from star_core.measurement import bundle as module

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_fill", full)
    with pytest.raises(StoreError, match="No space left"):
        write_bundle(tmp_path / "bundle", specs("71111"), SECTION)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="new or empty folder"):
        write_bundle(tmp_path, specs("71111"), SECTION)


@pytest.mark.parametrize("preset", ["paper", "lfm2"])
def test_a_search_space_is_designed_so_that_every_liv_stands_alone_at_two_counts(preset):
    space = SearchSpace.preset(preset)
    genomes = design(space)
    for genome in genomes:
        compile_genome(genome, SearchSpace.preset("extended", groups=35), 64)
    for liv_class in space.classes:
        alone = [genome for genome in genomes if {liv.liv_class for liv in genome.livs} == {liv_class}]
        assert len({genome.depth for genome in alone}) >= 2
    seen = {liv_key(layer) for genome in genomes for layer in compile_genome(genome, space, 64).layers}
    rng = np.random.default_rng(5)
    sampled = [compile_genome(space.sample(rng), space, 64) for _ in range(20)]
    drawn = [liv_key(layer) for spec in sampled for layer in spec.layers]
    assert sum(key in seen for key in drawn) >= 0.9 * len(drawn)


def test_the_commands_bundle_measure_import_and_inspect(star, tmp_path):
    (tmp_path / "params.yaml").write_text(
        "model: {width: 16}\nobjectives: {prompt_length: 8, cache_length: 16}\n"
    )
    made = star("measure", *GENOMES, "--bundle", "out", cwd=tmp_path)
    assert "4 models, f32" in made
    assert run(tmp_path / "out").returncode == 0
    told = star("measure", "--import", "out/measurements.json", "--as", "pi5", cwd=tmp_path)
    assert "of 4 models left out one by one" in told
    assert (tmp_path / "data" / "devices" / "pi5.json").exists()
    shown = star("inspect", "91111-71111", "--set", "objectives.device=pi5", cwd=tmp_path)
    assert "On pi5: onnxruntime" in shown
    assert "median error" in shown
    both = star("measure", "71111", "--import", "out/measurements.json", "--as", "pi5", cwd=tmp_path, code=2)
    assert "--import takes no genomes" in both
    for options, message in (
        (["--import", "out/measurements.json"], "--import and --as go together"),
        (["--for-search", "main"], "--for-search is of a bundle"),
        ([], "nothing is named"),
        (["71111", "--bundle", "new", "--weights", "f32,int4"], "a bundle measures in one precision"),
        (["71111", "--bundle", "new", "--runtime", "eager"], "on onnxruntime"),
        (["--import", "out/measurements.json", "--as", "../x"], "a device's name is"),
    ):
        assert message in star("measure", *options, cwd=tmp_path, code=2)


@pytest.mark.parametrize(("wrong", "said"), [("nope", "there is no such run"), ("nope.yaml", "No such file")])
def test_a_search_that_is_not_there_is_no_search(star, tmp_path, wrong, said):
    assert said in star("measure", "--bundle", "bundle", "--for-search", wrong, cwd=tmp_path, code=2)
