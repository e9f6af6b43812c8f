"""Preparation: a clean split, the same bytes every time, and whole or absent on disk."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from star_flows.commands.stages import describe

from star_core.config import Data
from star_core.datasets import load_tokens, prepare, spool
from star_core.datasets.base import Corpus, byte_corpus
from star_core.datasets.prepare import MIN_TOKENS, split, words_hash, write_split
from star_core.errors import DataError

prepare_module = importlib.import_module("star_core.datasets.prepare")
documents = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))


def contents(side):
    return [document.tobytes() for document in side]


@settings(max_examples=200, deadline=None)
@given(texts=documents, fraction=st.floats(0.01, 0.99), seed=st.randoms())
def test_split_is_by_document_and_order_does_not_matter(texts, fraction, seed):
    corpus = byte_corpus(texts, "test")
    by_words = {}
    for content in contents(corpus.documents):
        by_words.setdefault(tuple(content.decode().split()), []).append(content)
    distinct = {min(same, key=lambda content: sha256(content).digest()) for same in by_words.values()}
    if sum(map(len, distinct)) < MIN_TOKENS:
        with pytest.raises(DataError, match="at least"):
            split(corpus, fraction)
        return
    train, validation = split(corpus, fraction)
    assert train
    assert validation
    if len(distinct) == 1:
        assert b"".join(contents(train) + contents(validation)) == distinct.pop()
        return
    assert set(contents(train)) | set(contents(validation)) == distinct
    assert not set(contents(train)) & set(contents(validation))
    assert len(train) + len(validation) == len(distinct)
    shuffled = list(texts)
    seed.shuffle(shuffled)
    again = split(byte_corpus(shuffled, "test"), fraction)
    assert [contents(side) for side in again] == [contents(train), contents(validation)]


@given(sizes=st.lists(st.integers(1, 50), min_size=20, max_size=60), fraction=st.floats(0.05, 0.5))
@settings(deadline=None)
def test_held_out_share_is_near_the_fraction(sizes, fraction):
    texts = [f"{index:04}" + "x" * size for index, size in enumerate(sizes)]
    _, validation = split(byte_corpus(texts, "test"), fraction)
    held, total = sum(map(len, validation)), sum(map(len, texts))
    assert abs(held - fraction * total) <= max(map(len, texts))


def test_source_keeps_its_own_split_but_not_a_leak():
    arrays = [np.full(50, value, np.uint8) for value in (1, 2, 3, 1)]
    corpus = Corpus(10, tuple(arrays), None, "test", frozenset({3}))
    train, validation = split(corpus, 0.05)
    assert {int(document[0]) for document in train} == {2, 3}
    assert {int(document[0]) for document in validation} == {1}


def test_documents_are_joined_by_the_separator(tmp_path):
    parts = [np.array([5, 6], np.uint8), np.array([7], np.uint8)]
    path = tmp_path / "train.bin"
    record = write_split(path, parts, 0, 256)
    assert path.read_bytes() == b"\5\6\0\7"
    assert record == {"tokens": 4, "documents": 2, "sha256": sha256(path.read_bytes()).hexdigest()}
    assert write_split(path, parts, None, 1000)["tokens"] == 3
    assert path.read_bytes() == b"\5\0\6\0\7\0"


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for index in range(30):
        (folder / f"{index}.txt").write_text(f"Document {index}. " * 20)
    return str(folder)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_rerun_is_byte_identical_and_leaves_the_folder_alone(source, tmp_path):
    data = Data(source=source, validation_fraction=0.1)
    first = prepare(data, tmp_path / "out" / "tokens")
    first.verify()
    inodes = {path.name: path.stat().st_ino for path in first.folder.iterdir()}
    second = prepare(data, tmp_path / "out" / "tokens")
    assert {path.name: path.stat().st_ino for path in second.folder.iterdir()} == inodes
    other = prepare(data, tmp_path / "elsewhere")
    assert files_of(other.folder) == files_of(first.folder)
    assert other.digest == second.digest == first.digest
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tokens"]


def test_other_data_replaces_the_old_while_it_is_read(source, tmp_path):
    out = tmp_path / "tokens"
    old = prepare(Data(source=source, validation_fraction=0.1), out)
    kept = bytes(old.train)
    new = prepare(Data(source=source, validation_fraction=0.5), out)
    assert new.digest != old.digest
    assert bytes(old.train) == kept
    assert sorted(path.name for path in out.iterdir()) == ["meta.json", "train.bin", "validation.bin"]


@pytest.mark.parametrize("fraction", [0.25, 0.5], ids=["the same", "another split"])
def test_others_who_prepare_at_the_same_time_are_no_error(source, tmp_path, monkeypatch, fraction):
    out, rename, others = tmp_path / "out", Path.rename, [fraction, fraction]

    def others_first(path, target):
        if path.name == "new" and others:
            prepare(Data(source=source, validation_fraction=others.pop()), out)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", others_first)
    found = prepare(Data(source=source, validation_fraction=0.25), out)
    assert not others
    assert found.meta["data"]["validation_fraction"] == 0.25
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_prepared_folder_can_be_prepared_again_with_its_split(source, tmp_path):
    first = prepare(Data(source=source, validation_fraction=0.1), tmp_path / "a")
    second = prepare(Data(source=str(tmp_path / "a"), validation_fraction=0.5), tmp_path / "b")
    assert bytes(second.validation) == bytes(first.validation)
    assert second.digest == first.digest


def test_empty_and_short_corpora_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="at least 64 tokens"):
        prepare(Data(source=str(tmp_path / "a.txt")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_with_other_files_is_not_deleted(source, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.doc").write_text("precious")
    with pytest.raises(DataError, match="other files"):
        prepare(Data(source=source), out)
    assert (out / "thesis.doc").read_text() == "precious"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a folder"):
        prepare(Data(source=source), tmp_path / "file")
    with pytest.raises(DataError, match="cannot be written"):
        prepare(Data(source=source), tmp_path / "file" / "below")


def test_empty_folder_is_filled(source, tmp_path):
    (tmp_path / "out").mkdir()
    assert prepare(Data(source=source), tmp_path / "out").vocab_size == 256


def test_killed_preparation_leaves_nothing_that_loads(source, tmp_path):
    out = tmp_path / "out"
    script = (
        "import os, signal, pathlib\n"
        "from star_core.config import Data\n"
        "from star_core.datasets import prepare\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"prepare(Data(source={source!r}), {str(out)!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == -9
    with pytest.raises(DataError):
        load_tokens(out)
    prepare(Data(source=source), out).verify()


def test_kjv_digest_is_stable(tmp_path):
    tokens = prepare(Data(), tmp_path / "kjv")
    assert tokens.digest == "df031d4ba41a6dde1ccd4b093ea0fce289527e2786da3bda95769dea1ac8e290"
    held = len(tokens.validation) / (len(tokens.train) + len(tokens.validation))
    assert held == pytest.approx(0.05, abs=0.01)


def test_datasets_do_not_import_torch():
    code = "import sys, star_core.datasets, star_core.training; assert 'torch' not in sys.modules"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@given(st.text("ab\n\t \xa0", min_size=1).filter(str.strip), st.booleans())
def test_texts_that_are_equal_up_to_white_space_are_one_document(text, first):
    again = "  \n".join(text.split()) + "\n"
    others = ["x" * 100, "y" * 100, text, again]
    held = 2 if first else 3
    corpus = dataclasses.replace(byte_corpus(others, "test"), held_out=frozenset({held}))
    train, validation = split(corpus, 0.5)
    assert sorted(map(len, train)) == [100, 100]
    assert [bytes(document).decode().split() for document in validation] == [text.split()]
    assert (
        len(split(byte_corpus(others, "test"), 0.5)[0]) + len(split(byte_corpus(others, "test"), 0.5)[1]) == 3
    )


def test_what_is_held_out_is_said_where_the_corpus_is_described(tmp_path):
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).write_text(name * 20)
    data = prepare(Data(source=str(tmp_path)), tmp_path / "out")
    assert data.meta["sources"] == f"{tmp_path}; held out by their names: val.txt"
    assert describe(data).endswith(" of 1 held out; held out by their names: val.txt")
    assert bytes(data.validation) == b"val.txt" * 20


def plain_split(corpus, fraction):
    """The rule with all documents in memory: what stored corpora were split by."""
    held_out = corpus.held_out or ()
    unique = {}
    for index, document in enumerate(corpus.documents):
        key = sha256(document.tobytes()).digest()
        unique[key] = (document, index in held_out or unique.get(key, (None, False))[1])
    first, kept = {}, {}
    for key in sorted(unique):
        chosen = first.setdefault(tuple(bytes(unique[key][0]).decode().split()), key)
        kept[chosen] = (unique[chosen][0], unique[key][1] or kept.get(chosen, (None, False))[1])
    documents = [kept[key][0] for key in sorted(kept)]
    chosen = [kept[key][1] for key in sorted(kept)]
    if corpus.held_out is None or all(chosen):
        chosen, taken = [False] * len(documents), 0
        for index, document in enumerate(documents):
            if (
                taken + len(document) / 2 <= fraction * sum(map(len, documents))
                and sum(chosen) < len(chosen) - 1
            ):
                chosen[index] = True
                taken += len(document)
        if not any(chosen):
            chosen[min(range(len(documents)), key=lambda index: len(documents[index]))] = True
    return tuple(
        [d for d, held in zip(documents, chosen, strict=True) if held is side] for side in (False, True)
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data(), fraction=st.floats(0.01, 0.9))
def test_the_split_is_the_one_of_stored_corpora(data, fraction):
    texts = data.draw(st.lists(st.text("ab é \n", min_size=1).filter(str.strip), min_size=2, max_size=30))
    corpus = byte_corpus([*texts, "x" * 70, "y" * 40], "test")
    held = data.draw(st.none() | st.frozensets(st.integers(0, len(corpus.documents) - 1), min_size=1))
    corpus = dataclasses.replace(corpus, held_out=held)
    found = split(corpus, fraction)
    assert [contents(side) for side in found] == [contents(side) for side in plain_split(corpus, fraction)]


@given(text=st.text("aé \n\t\xa0と", min_size=1), size=st.integers(1, 7))
def test_white_space_is_nothing_wherever_a_part_ends(text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_module, "PART", size)
        found = words_hash(text.encode()).digest()
    assert found == words_hash(" ".join(text.split()).encode()).digest()
    if len(text.split()) > 1:
        assert found != words_hash("".join(text.split()).encode()).digest()


def test_documents_that_do_not_fit_in_memory_are_spooled(tmp_path, monkeypatch):
    texts = [f"{index} " * 50 for index in range(40)]
    small = prepare_texts(texts, tmp_path / "small")
    monkeypatch.setattr(spool, "IN_MEMORY", 1000)
    assert prepare_texts(texts, tmp_path / "large") == small
    with pytest.raises(IndexError):
        _ = byte_corpus(texts, "test").documents[40]


def prepare_texts(texts, folder):
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return prepare(Data(source=f"{folder}/a.jsonl"), folder / "out").digest


def test_how_far_it_is_is_told_stage_by_stage(source, tmp_path):
    told = {}
    found = prepare(
        Data(source=source), tmp_path / "out", reached=lambda stage, *done: told.update({stage: done})
    )
    splits = {name: record["documents"] for name, record in found.meta["splits"].items()}
    assert told.pop("files read") == told.pop("documents hashed") == (30, 30)
    assert told == {f"documents written, {name}": (count, count) for name, count in splits.items()}
