"""The corpus, and weights, on the way to machines that share no folder with the run."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from safetensors.numpy import save_file

from star_core.config import Runtime
from star_core.datasets import transfer
from star_core.datasets.tokens import load_tokens
from star_core.datasets.transfer import at_hand, publish
from star_core.errors import DataError, StoreError
from star_core.storage.checkpoints import CheckpointStore
from star_core.storage.fsspec_files import Filesystem
from star_core.storage.open import open_storage
from star_core.storage.weights import FORMAT, checkpoint_key
from tests.training.jobs import small_data, small_job

KEY = "ab" * 32


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("STAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)  # so that there are several
    return Runtime(runner="dask", address="tcp://elsewhere:8786", storage=f"memory://{uuid4().hex}")


@pytest.fixture
def job(data, runtime, tmp_path):
    """A job as a machine without the project's folder gets it."""
    return replace(small_job(data, runtime.storage), data=str(tmp_path / "not" / "here"))


def test_a_corpus_that_is_here_is_used_where_it_is(data, runtime):
    job = small_job(data, runtime.storage)
    assert at_hand(job, runtime) == job


def test_a_corpus_travels_in_parts_and_is_fetched_once(data, runtime, job, tmp_path, monkeypatch):
    publish(data, runtime)
    here = at_hand(job, runtime)
    assert replace(here, data=job.data) == job
    assert Path(here.data) == tmp_path / "cache" / "tokens" / data.digest
    for name in ("train.bin", "validation.bin", "meta.json"):
        assert (Path(here.data) / name).read_bytes() == (data.folder / name).read_bytes()
    # Neither side has anything to do a second time.
    monkeypatch.setattr(Filesystem, "write", None)
    monkeypatch.setattr(Filesystem, "read", None)
    publish(data, runtime)
    assert at_hand(job, runtime) == here
    assert [path.name for path in (tmp_path / "cache/tokens").iterdir() if path.is_dir()] == [data.digest]


def test_a_machine_fetches_it_once_however_many_ask(data, runtime, job, monkeypatch):
    publish(data, runtime)
    read, names, turn = Filesystem.read, [], threading.Lock()

    def counted(self, name, limit):
        with turn:
            names.append(name)
        return read(self, name, limit)

    monkeypatch.setattr(Filesystem, "read", counted)
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda _: at_hand(job, runtime).data, range(4)))) == 1
    assert len(names) == len(set(names)) > 5


@pytest.mark.parametrize("how", ["part changed", "part cut", "part gone", "meta changed", "never put"])
def test_what_arrives_is_checked_and_leaves_nothing(data, runtime, job, tmp_path, how):
    root = f"tokens/{data.digest}"
    if how != "never put":
        publish(data, runtime)
    storage = open_storage(runtime.storage)
    meta = (data.folder / "meta.json").read_bytes()
    match how:
        case "part changed":
            storage.write(f"{root}/train-0001", b"x" * 1000)
        case "part cut":
            storage.write(f"{root}/train-0001", b"x" * 500)
        case "part gone":
            name = f"{root}/train-0001"
            storage.delete(name, storage.read(name, 1 << 20).tag)
        case "meta changed":
            storage.write(f"{root}/meta.json", meta.replace(b'"vocab_size": 256', b'"vocab_size": 255'))
    with pytest.raises(DataError) as caught:
        at_hand(job, runtime)
    if how in ("part gone", "never put"):
        assert str(tmp_path / "not" / "here") in str(caught.value)
        assert "runtime.storage" in caught.value.fix
    assert root in str(caught.value)
    assert not [path for path in (tmp_path / "cache/tokens").iterdir() if path.is_dir()]


def test_a_damaged_copy_in_the_cache_is_fetched_again(data, runtime, job):
    publish(data, runtime)
    folder = Path(at_hand(job, runtime).data)
    (folder / "train.bin").write_bytes(b"")
    half = folder.with_name(f".{folder.name}.killed.tmp")
    half.mkdir()
    assert load_tokens(at_hand(job, runtime).data).train[5] == data.train[5]
    assert not half.exists()


def test_through_a_folder_or_to_this_machine_nothing_travels(data, runtime, job, tmp_path):
    folder = runtime.model_copy(update={"storage": str(tmp_path / "store")})
    publish(data, folder)
    assert not (tmp_path / "store").exists()
    with pytest.raises(DataError, match="is a folder, through which none travels"):
        at_hand(replace(job, storage=folder.storage), folder)
    here = runtime.model_copy(update={"address": None})
    publish(data, here)
    assert open_storage(here.storage).size(f"tokens/{data.digest}/meta.json") is None


def weights(path, key=KEY):
    path.parent.mkdir(exist_ok=True)
    save_file({"w": np.arange(6.0)}, path, {FORMAT: f'{{"key": "{key}"}}'})
    return path


def test_weights_arrive_whole_and_are_the_evaluations_own(runtime, tmp_path):
    store = CheckpointStore(runtime.storage)
    target = tmp_path / "there" / "front.safetensors"
    assert not store.fetch(KEY, target)
    original = weights(tmp_path / "one.safetensors")
    store.put(original, KEY)
    assert store.fetch(KEY, target)
    assert target.read_bytes() == original.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["front.safetensors"]
    with pytest.raises(StoreError, match="not the weights of this evaluation"):
        store.put(weights(tmp_path / "other.safetensors", "cd" * 32), "ef" * 32)
    open_storage(runtime.storage).write(f"checkpoints/{KEY}.safetensors", b"nothing")
    with pytest.raises(StoreError, match="not the weights of this evaluation"):
        store.fetch(KEY, target)
    assert checkpoint_key(target) == KEY, "what was there stays"


def test_a_folder_keeps_weights_where_they_are_wanted_and_nowhere_else(tmp_path):
    store = CheckpointStore(str(tmp_path / "store"))
    store.put(weights(tmp_path / "one.safetensors"), KEY)
    assert not store.fetch(KEY, tmp_path / "two.safetensors")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["../../secrets", "", "AB" * 32])
def test_no_name_leaves_the_storage(data, runtime, job, name):
    with pytest.raises(StoreError):
        CheckpointStore(runtime.storage).fetch(name, Path("x"))
    with pytest.raises(DataError):
        at_hand(replace(job, data_digest=name), runtime)


def test_a_training_elsewhere_needs_no_tokenizer(runtime, tmp_path):
    data = small_data(tmp_path, "bpe:280")
    job = replace(small_job(data, runtime.storage), data=str(tmp_path / "not" / "here"))
    publish(data, runtime)
    found = load_tokens(at_hand(job, runtime).data)
    assert (found.digest, found.metrics) == (data.digest, data.metrics)
