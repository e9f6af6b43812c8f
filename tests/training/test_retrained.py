"""Weights that `star retrain` kept: read back as the model that was measured, or refused."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
import torch

from star_core.errors import DataError, StoreError
from star_core.population.comparison import comparison_path
from star_core.training.retrained import Retrained
from tests.training.retrainings import GENOMES, retrained_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return retrained_run(tmp_path_factory.mktemp("retrained"))


@pytest.fixture
def root(made, tmp_path):
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def model_of(root, name="g000-00"):
    retrained = Retrained.read("main", root)
    (entry,) = retrained.entries([name])
    return retrained.model(entry, retrained.corpus(root))


def weights_of(root, name="g000-00"):
    return root / f"retrain/main/{name}.safetensors"


def changed(path, change):
    """The same checkpoint with other tensors."""
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    tensors = {name: array.copy() for name, array in safetensors.numpy.load_file(path).items()}
    change(tensors)
    safetensors.numpy.save_file(tensors, path, header["__metadata__"])


def test_the_models_are_those_that_were_measured(root):
    retrained = Retrained.read("main", root)
    assert [entry.name for entry in retrained.entries()] == list(GENOMES)
    for entry in retrained.entries():
        model = retrained.model(entry, retrained.corpus(root))
        assert model.arch.digest == entry.digest
        assert not model.training
    assert [entry.name for entry in retrained.entries(["g000-00", "g000-00"])] == ["g000-00"]


def double_the_embedding(tensors):
    tensors["embedding"] *= 2


def not_a_number(tensors):
    tensors["embedding"][65] = np.nan


def another_shape(tensors):
    tensors["embedding"] = tensors["embedding"][:, :8]


def one_less(tensors):
    del tensors["embedding"]


@pytest.mark.parametrize("change", [double_the_embedding, not_a_number, another_shape, one_less])
def test_weights_that_are_not_those_measured_are_refused(root, change):
    changed(weights_of(root), change)
    with pytest.raises(StoreError, match="not the model that was measured") as caught:
        model_of(root)
    assert str(weights_of(root)) in caught.value.place
    assert "star retrain main" in caught.value.fix
    model_of(root, "transformer++")


def test_files_that_are_damaged_missing_or_another_s_are_refused(root):
    path = weights_of(root)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:5], b"", b"\xff" * 64 + content[64:]):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="cannot be read") as caught:
            model_of(root)
        assert "star retrain main" in caught.value.fix
    shutil.copy(weights_of(root, "transformer++"), path)
    with pytest.raises(StoreError, match="not those of g000-00"):
        model_of(root)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        model_of(root)


def test_weights_outside_of_the_folder_are_refused(root):
    retrained = Retrained.read("main", root)
    entry = retrained.entries()[0]
    for name in ("../x.safetensors", "/etc/passwd", "a/../../x"):
        with pytest.raises(StoreError, match="below their comparison"):
            retrained.weights(entry.model_copy(update={"checkpoint": name}))
    assert retrained.weights(entry.model_copy(update={"checkpoint": "size/x"})).parent.name == "size"


def test_another_corpus_is_not_the_one_they_were_trained_on(root):
    meta = root / "tokens/main/meta.json"
    content = json.loads(meta.read_text())
    content["splits"]["train"]["sha256"] = "0" * 64
    meta.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="not the one these weights were trained on"):
        model_of(root)
    shutil.rmtree(meta.parent)
    with pytest.raises(DataError):
        model_of(root)


def test_a_run_that_was_not_retrained_is_told_how(root):
    comparison_path("main", "retrain", root).unlink()
    with pytest.raises(StoreError, match=r"star retrain main, or dvc pull"):
        Retrained.read("main", root)
    (root / "scaled/main").mkdir(parents=True)
    (root / "scaled/main/width-8-depth-2.json").touch()
    with pytest.raises(StoreError, match="use one of width-8-depth-2"):
        Retrained.read("main", root, "width-9-depth-2")
    assert torch.is_grad_enabled()


def test_a_retraining_at_another_size_is_read_by_its_name(root):
    own, size = Retrained.read("main", root), "width-16-depth-2"
    path = comparison_path("main", "scaled", root, size)
    entries = [
        entry.model_copy(update={"checkpoint": entry.checkpoint and f"{size}/{entry.checkpoint}"})
        for entry in own.comparison.entries
    ]
    own.comparison.model_copy(update={"purpose": "scaled", "entries": tuple(entries)}).write(path)
    shutil.move(root / "retrain/main", path.parent / size)
    scaled = Retrained.read("main", root, size)
    model = scaled.model(scaled.entries(["transformer++"])[0], scaled.corpus(root))
    assert str(model.arch.genome) == GENOMES["transformer++"]
