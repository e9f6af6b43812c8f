"""A user's own files become documents, or an error that says which file and why."""

import json

import fsspec
import numpy as np
import pytest

from star_core.config import Data
from star_core.datasets.corpus import load_corpus, load_shards, load_text_documents
from star_core.errors import DataError


def texts_of(corpus):
    return [bytes(document).decode() for document in corpus.documents]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_bytes("\ufeffzwei\r\nZeilen".encode())
    (tmp_path / "sub" / "c.md").write_text("# drei")
    (tmp_path / "a.jsonl").write_text('{"text": "eins"}\n\n{"text": "noch eins", "id": 2}\n')
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    (tmp_path / "blank.txt").write_text(" \n")
    return tmp_path


def test_folder_is_searched_deeply(folder):
    assert texts_of(load_corpus(Data(source=str(folder)))) == ["eins", "noch eins", "zwei\nZeilen", "# drei"]


def test_file_glob_and_list(folder):
    assert texts_of(load_corpus(Data(source=str(folder / "b.txt")))) == ["zwei\nZeilen"]
    assert texts_of(load_corpus(Data(source=f"{folder}/*.jsonl"))) == ["eins", "noch eins"]
    both = [str(folder / "b.txt"), f"{folder}/**/*.md", str(folder / "b.txt")]
    assert texts_of(load_corpus(Data(source=both))) == ["zwei\nZeilen", "# drei"]


def test_url():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/corpus/one.txt", b"from afar")
    assert texts_of(load_corpus(Data(source="memory://corpus"))) == ["from afar"]
    assert texts_of(load_corpus(Data(source="memory://corpus/one.txt"))) == ["from afar"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"ab\xff", ["a.txt", "not UTF-8 at byte 2"]),
        ("a.txt", b"ab\0cd", ["a.txt", "NUL"]),
        ("a.jsonl", b'{"text": "x"}\n{"tex": 1}', ["a.jsonl, line 2", '"text"']),
        ("a.jsonl", b"{]", ["a.jsonl, line 1", "JSON"]),
        ("a.jsonl", b'{"text": "\\ud800"}', ["surrogate"]),
        ("a.jsonl", b'{"text": "\\u0000"}', ["NUL"]),
        ("a.jsonl", b"[" * 100_000, ["line 1", "nested"]),
    ],
)
def test_bad_text_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_text_documents(str(tmp_path / name))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("source", ["kjvv", "/no/such/folder", "nosuch://bucket/x", "*.nothing", [], [""]])
def test_missing_source_is_named(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load_corpus(Data(source=source))
    assert "Fix: " in str(caught.value)


def test_folder_without_text_is_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"holds no \.txt"):
        load_corpus(Data(source=str(tmp_path)))


def test_named_corpus_and_files_are_joined(folder):
    corpus = load_corpus(Data(source=["kjv", str(folder / "b.txt")]))
    assert len(corpus.documents) == 67
    assert texts_of(corpus)[-1] == "zwei\nZeilen"


def test_text_and_shards_are_not_joined(folder, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    (shards / "meta.json").write_text('{"vocab_size": 1000}')
    np.arange(500, dtype="<u2").tofile(shards / "a.bin")
    with pytest.raises(DataError, match="same kind of tokens"):
        load_corpus(Data(source=[str(folder / "b.txt"), str(shards)]))


def test_text_folder_may_have_a_meta_file(folder):
    (folder / "meta.json").write_text("{}")
    assert len(load_corpus(Data(source=str(folder))).documents) == 4


def test_shards_with_their_own_split(tmp_path):
    (tmp_path / "meta.json").write_text(json.dumps({"vocab_size": 1000}))
    np.arange(500, dtype="<u2").tofile(tmp_path / "train.bin")
    np.save(tmp_path / "val.npy", np.arange(100))
    corpus = load_corpus(Data(source=str(tmp_path)))
    assert corpus.vocab_size == 1000
    assert [len(document) for document in corpus.documents] == [500, 100]
    assert corpus.held_out == {1}
    assert corpus.documents[1].dtype == np.uint16


@pytest.mark.parametrize(
    ("meta", "name", "content", "rule"),
    [
        ({"vocab_size": 1}, "a.bin", b"\0", "vocab_size is from"),
        ({"vocab_size": True}, "a.bin", b"\0", "vocab_size"),
        ({}, "a.bin", b"\0", "vocab_size"),
        ({"vocab_size": 10, "dtype": "float32"}, "a.bin", b"\0", "integer type"),
        ({"vocab_size": 10, "dtype": ["x"]}, "a.bin", b"\0", "integer type"),
        ({"vocab_size": 10}, "a.bin", b"\x0a", "from 0 to 9"),
        ({"vocab_size": 1000}, "a.bin", b"\0", "multiple of 2 bytes"),
        ({"vocab_size": 10, "dtype": "int32"}, "a.bin", b"\xff\xff\xff\xff", "from 0 to 9"),
        ({"vocab_size": 10}, "a.npy", b"not numpy", "not a .npy"),
        ({"vocab_size": 10}, "x.txt", b"text", "holds no .bin"),
    ],
)
def test_bad_shards_are_named(tmp_path, meta, name, content, rule):
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rule):
        load_shards(str(tmp_path))


def test_pickled_shard_is_not_executed(tmp_path):
    (tmp_path / "meta.json").write_text(json.dumps({"vocab_size": 10}))
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a \.npy file of numbers"):
        load_shards(str(tmp_path))
