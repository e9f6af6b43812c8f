"""The evaluation store on every kind of storage: what is stored comes back, what is damaged is healed."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from star_core.errors import StorageAway, StoreError
from star_core.storage.evaluations import EvaluationStore
from star_core.storage.open import open_storage
from tests.storage.evaluations import EVALUATION, GOOD, MALFORMED

NAME = f"aa/{EVALUATION.key}.json"
SECRET = "wJalrXUtnFEMI/K7MDENG"


def test_evaluations_come_back_equal(location):
    store = EvaluationStore(location)
    assert store.get(EVALUATION.key) is None
    assert store.find(EVALUATION.key) is None
    store.put(EVALUATION)
    again = EvaluationStore(location)
    assert again.get(EVALUATION.key) == again.find(EVALUATION.key, EVALUATION.digest) == EVALUATION


def test_what_others_store_is_seen_at_once(location):
    store, other = EvaluationStore(location), EvaluationStore(location)
    assert store.get(EVALUATION.key) is None
    for tokens in range(3):
        other.put(replace(EVALUATION, tokens=tokens))
        assert store.get(EVALUATION.key).tokens == tokens


@pytest.mark.parametrize("damage", MALFORMED)
def test_a_malformed_evaluation_is_moved_aside_and_its_place_is_free(location, damage):
    notes = []
    store, storage = EvaluationStore(location, note=notes.append), open_storage(location)
    storage.write(NAME, MALFORMED[damage])
    with pytest.raises(StoreError, match="delete") as caught:
        store.get(EVALUATION.key, EVALUATION.digest)
    assert store.path(EVALUATION.key) in str(caught.value)
    assert not notes
    for number in (1, 2):
        storage.write(NAME, MALFORMED[damage])
        assert store.find(EVALUATION.key, EVALUATION.digest) is None
        assert storage.read(NAME, 1) is None
        kept = f"corrupt/{EVALUATION.key}-{number}.json"
        assert storage.read(kept, 1 << 30).content == MALFORMED[damage]
        assert len(notes) == number
        assert storage.place(kept) in notes[-1]
    store.put(EVALUATION)
    assert store.find(EVALUATION.key, EVALUATION.digest) == EVALUATION
    assert len(notes) == 2


def test_what_is_too_large_is_not_even_read(location):
    open_storage(location).write(NAME, MALFORMED["too large"])
    with pytest.raises(StoreError, match="at most 1048576 bytes"):
        EvaluationStore(location).get(EVALUATION.key)


def test_what_was_mended_meanwhile_is_not_moved(location):
    storage = open_storage(location)
    storage.write(NAME, MALFORMED["truncated"])
    found = storage.read(NAME, 1 << 20)
    storage.write(NAME, GOOD)
    assert storage.move(NAME, "corrupt/x.json", found.tag)
    assert storage.read(NAME, 1 << 20).content == GOOD
    assert storage.size("corrupt/x.json") is None
    assert storage.move("aa/none.json", "corrupt/x.json", found.tag)
    assert storage.size("corrupt/x.json") is None


def test_a_malformed_evaluation_that_cannot_be_moved_is_an_error(tmp_path):
    store = EvaluationStore(str(tmp_path))
    (tmp_path / "aa").mkdir()
    (tmp_path / NAME).write_bytes(MALFORMED["another's"])
    (tmp_path / "corrupt").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="the evaluation's key is its file name"):
        store.find(EVALUATION.key)
    assert (tmp_path / NAME).read_bytes() == MALFORMED["another's"]


@pytest.mark.parametrize("key", ["../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_key_that_is_none_is_refused(location, key):
    store = EvaluationStore(location)
    for ask in (store.get, store.find, store.path, lambda key: store.put(replace(EVALUATION, key=key))):
        with pytest.raises(StoreError, match="64 hex digits"):
            ask(key)


def test_many_threads_and_forked_processes_use_one_store(location):
    store = EvaluationStore(location)
    keys = [f"{number:064x}" for number in range(12)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: store.put(replace(EVALUATION, key=key)), keys))
        pid = os.fork()
        if pid == 0:
            try:
                found = [store.get(key).key for key in keys] == keys
                store.put(replace(EVALUATION, key=keys[0], tokens=7))
                seen = store.get(keys[0]).tokens == 7
                os._exit(0 if found and seen else 1)
            except BaseException as error:
                os.write(2, f"{error!r}\n".encode())
            os._exit(2)
        assert [evaluation.key for evaluation in threads.map(store.find, keys)] == keys
        assert os.waitpid(pid, 0)[1] == 0
    if not location.startswith("memory"):
        assert store.get(keys[0]).tokens == 7


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/prefix",
        f"s3://key:{SECRET}@bucket",
        f"s3://{SECRET}@bucket",
        f"s3://key:{SECRET}",
        f"s3://bucket/prefix?secret={SECRET}",
        f"s3://bucket/prefix#{SECRET}",
        f"sftp://user:{SECRET}@host/folder",
        f"memory://x?sig={SECRET}",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url):
    with pytest.raises(StoreError, match=r"runtime\.storage: .*AWS_ACCESS_KEY_ID") as caught:
        EvaluationStore(url)
    for part in (SECRET, *SECRET.split("/"), "AKIAIOSFODNN7EXAMPLE"):
        assert part not in str(caught.value)
        assert part not in repr(caught.value)


@pytest.mark.parametrize(
    ("url", "endpoint", "rule"),
    [
        ("bogus://x", None, "no such storage"),
        ("s3://", None, "names no bucket"),
        ("s3:///prefix", None, "names no bucket"),
        ("simplecache::s3://bucket", None, "chained URLs"),
        ("s3://bucket", "127.0.0.1:8333", "not the URL of a server"),
        ("s3://bucket", f"http://key:{SECRET}@127.0.0.1:8333", "credentials and options"),
        ("s3://bucket", "ftp://127.0.0.1", "not the URL of a server"),
    ],
)
def test_a_location_that_is_none_is_an_error_at_once(url, endpoint, rule):
    with pytest.raises(StoreError, match=rule) as caught:
        EvaluationStore(url, endpoint, patience=600)
    assert not isinstance(caught.value, StorageAway)
    assert "runtime." in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_endpoint_is_for_s3_only(tmp_path):
    for location in (str(tmp_path), f"file://{tmp_path}", "memory://endpoint"):
        store = EvaluationStore(location, endpoint="http://127.0.0.1:1")
        store.put(EVALUATION)
        assert store.get(EVALUATION.key) == EVALUATION
    assert Path(EvaluationStore(f"file://{tmp_path}").path(EVALUATION.key)) == tmp_path / NAME
