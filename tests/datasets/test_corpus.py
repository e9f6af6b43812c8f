"""A user's own files become documents, or an error that says which file and why."""

import json

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from star_core.config import Data
from star_core.datasets.corpus import load_corpus, load_shards, load_text_documents
from star_core.errors import DataError
from tests.strategies import ODD_FOLDERS, encodings, folder_names


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


@pytest.mark.parametrize("name", ODD_FOLDERS)
@pytest.mark.parametrize("pattern", ["", "/text.txt", "/*.txt", "/**/*.txt"])
def test_what_exists_is_no_pattern(tmp_path, monkeypatch, name, pattern):
    for folder, text in {"run 1": "theirs", "x": "theirs", name: "mine"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text.txt").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert texts_of(load_corpus(Data(source=name + pattern))) == ["mine"]
    assert texts_of(load_corpus(Data(source=f"{tmp_path}/{name}{pattern}"))) == ["mine"]


@given(folder_names)
def test_a_folder_of_any_name_is_read(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("root") / name
    folder.mkdir()
    (folder / "meta.json").write_text('{"vocab_size": 1000}')
    np.arange(500, dtype="<u2").tofile(folder / "a.bin")
    assert len(load_corpus(Data(source=str(folder))).documents[0]) == 500
    (folder / "a.bin").rename(folder / "a.txt")
    (folder / "a.txt").write_text("mine")
    assert texts_of(load_corpus(Data(source=[str(folder), f"{folder}/*.txt"]))) == ["mine"]


def test_what_exists_in_a_bucket_is_no_pattern():
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe({"/odd/run [1]/one.txt": b"mine", "/odd/run 1/one.txt": b"theirs"})
    for entry in ("run [1]", "run [1]/one.txt", "run [1]/*.txt"):
        assert texts_of(load_corpus(Data(source=f"memory://odd/{entry}"))) == ["mine"]


def test_the_home_folder_and_the_folder_one_works_in_are_sources(folder, monkeypatch, tmp_path_factory):
    everything = ["eins", "noch eins", "zwei\nZeilen", "# drei"]
    monkeypatch.setenv("HOME", str(folder.parent))
    assert texts_of(load_corpus(Data(source=f"~/{folder.name}"))) == everything
    assert texts_of(load_corpus(Data(source=f"~/{folder.name}/**/*.md"))) == ["# drei"]
    monkeypatch.chdir(folder)
    assert texts_of(load_corpus(Data(source="."))) == everything
    linked = tmp_path_factory.mktemp("elsewhere") / "data"
    linked.symlink_to(folder)
    assert texts_of(load_corpus(Data(source=str(linked)))) == everything


def written(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{path.name}.txt").write_text(text)
    return str(folder)


@pytest.mark.parametrize(
    "name", ["val__b", "b_val_01", "validation", "valid", "dev__x", "test-00000-of-1", "a__Test"]
)
def test_documents_that_names_hold_out_are_held_out_and_said(tmp_path, name):
    corpus = load_corpus(
        Data(source=written(tmp_path, a="first", z="last", value="no validation", **{name: "held"}))
    )
    assert [texts_of(corpus)[index] for index in corpus.held_out] == ["held"]
    assert corpus.description.endswith(f"; held out by their names: {name.replace('__', '/')}.txt")
    joined = load_corpus(Data(source=[f"{tmp_path}/*.txt", f"{tmp_path}/**/*.txt"]))
    assert [texts_of(joined)[index] for index in joined.held_out] == ["held"]


def test_test_data_beside_validation_data_is_not_read(tmp_path):
    corpus = load_corpus(Data(source=written(tmp_path, train__a="a", val__b="b", test__c="c")))
    assert texts_of(corpus) == ["a", "b"]
    assert corpus.held_out == {1}
    assert corpus.description.endswith("held out by their names: val/b.txt; test data, not read: test/c.txt")


def test_folders_of_a_split_as_sources(tmp_path):
    written(tmp_path, train__a="a", val__b="b")
    corpus = load_corpus(Data(source=[f"{tmp_path}/train", f"{tmp_path}/val"]))
    assert (texts_of(corpus), corpus.held_out) == (["a", "b"], {1})
    with pytest.raises(DataError, match="split of their own"):
        load_corpus(Data(source=["kjv", f"{tmp_path}/val"]))


@pytest.mark.parametrize("name", ["train_val", "val__train", "test__dev"])
def test_a_name_of_two_parts_of_a_split_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=rf"{name.replace('__', '/')}.txt.*Fix: rename it"):
        load_corpus(Data(source=written(tmp_path, a="a", **{name: "b"})))


def test_names_above_the_source_and_of_all_its_files_say_nothing(tmp_path):
    source = written(tmp_path / "test" / "val", a="a", b="b")
    for entry in (source, f"{source}/*.txt", f"{source}/a.txt"):
        corpus = load_corpus(Data(source=entry))
        assert (corpus.held_out, corpus.description) == (None, entry)
    source = written(tmp_path / "x", test_1="a", test_2="b")
    corpus = load_corpus(Data(source=source))
    assert (corpus.held_out, corpus.description) == (None, source)


def test_hidden_folders_are_not_read_unless_they_are_named(tmp_path):
    source = written(tmp_path, **{"a": "a", ".venv__lib__b": "b", "c__.ipynb_checkpoints__d": "d"})
    assert texts_of(load_corpus(Data(source=source))) == ["a"]
    assert texts_of(load_corpus(Data(source=f"{source}/**/*.txt"))) == ["a"]
    assert texts_of(load_corpus(Data(source=f"{source}/.venv"))) == ["b"]
    assert texts_of(load_corpus(Data(source=f"{source}/.venv/*/*.txt"))) == ["b"]


def test_shards_are_held_out_by_their_names(tmp_path):
    (tmp_path / "meta.json").write_text('{"vocab_size": 1000}')
    for name in ("books_train_0.bin", "books_val_0.bin", "books_test_0.bin"):
        np.arange(500, dtype="<u2").tofile(tmp_path / name)
    corpus = load_corpus(Data(source=str(tmp_path)))
    assert (len(corpus.documents), corpus.held_out) == (2, {1})
    assert "held out by their names: books_val_0.bin; test data, not read: books_test_0" in corpus.description
    (tmp_path / "values.bin").write_bytes(b"\0\0")
    with pytest.raises(DataError, match=r"values.bin.*Fix: rename it"):
        load_corpus(Data(source=str(tmp_path)))


@given(encodings, st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_a_text_of_any_encoding_is_read_as_it_is_or_named(tmp_path_factory, encoding, text):
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    path.write_bytes(f"x{text}".encode(encoding, "ignore"))
    try:
        found = texts_of(load_corpus(Data(source=str(path))))
    except DataError as error:
        assert str(path) in str(error)
        assert encoding in ("latin-1", "utf-16")
    else:
        assert encoding == "latin-1" or found == [f"x{text}".encode(encoding, "ignore").decode(encoding)]
