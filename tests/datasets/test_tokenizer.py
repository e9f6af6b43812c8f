"""Corpora of other tokens than bytes: what is stored is the text, and the same each time."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from star_core.config import MAX_VOCABULARY, Data, Params, params_from, stated
from star_core.datasets import load_tokens, prepare
from star_core.datasets.tokenizer import PIECE, ByteTokenizer, adopted, cut, trained
from star_core.datasets.tokens import SPLITS, check_meta, token_type
from star_core.errors import ConfigError, DataError
from star_core.objectives.base import objective
from star_core.objectives.perplexity import Bits

WORDS = ["The heart of the matter is words.", "Wörter, と言葉, и слова.", "1 + 1 = 2\n\n\tindented\r\n"]
TEXTS = [f"{word} {index}\n" * 9 for index in range(6) for word in WORDS]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for index, text in enumerate(TEXTS):
        (folder / f"{index}.txt").write_bytes(text.encode())
    return folder


@pytest.fixture
def words(tmp_path):
    """A tokenizer of words, without a token between documents, that would put one before every text."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "heart": 1, "of": 2, "words": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "words.json"))
    return tmp_path / "words.json"


def documents_of(tokens, separator):
    return [
        part[part != separator].tolist() for part in np.split(tokens, np.flatnonzero(tokens == separator))
    ]


def test_the_tokens_are_the_text_of_the_same_split_as_bytes(source, tmp_path):
    found = prepare(Data(source=str(source), tokenizer="bpe:300"), tmp_path / "bpe")
    plain = prepare(Data(source=str(source)), tmp_path / "bytes")
    found.verify()
    assert (found.vocab_size, found.train.dtype) == (300, np.uint16)
    for name in SPLITS:
        tokens, content = getattr(found, name), getattr(plain, name).tobytes()
        texts = [found.tokenizer.decode(part) for part in documents_of(tokens, found.tokenizer.separator)]
        assert "\0".join(texts).encode() == content
        assert found.meta["splits"][name]["bytes"] == len(content)
    assert found.bytes_per_token == len(plain.validation) / len(found.validation) > 1
    assert plain.bytes_per_token == 1
    assert plain.metrics == {}


def test_training_is_the_same_in_any_process_and_with_any_number_of_threads(tmp_path):
    texts = [*TEXTS, "".join(chr(0x4E00 + index % 3000) for index in range(9000))]
    (tmp_path / "text.txt").write_text("".join(texts), newline="")
    program = (
        "import sys; from star_core.datasets.tokenizer import trained\n"
        f"text = open({str(tmp_path / 'text.txt')!r}, newline='').read()\n"
        "sys.stdout.buffer.write(trained([text], 700).definition)"
    )
    found = {trained(["".join(texts)], 700).definition}
    for threads in ("1", "4"):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads}
        made = subprocess.run([sys.executable, "-c", program], env=environment, stdout=-1, check=True)
        found.add(made.stdout)
    assert len(found) == 1


def test_only_documents_to_train_on_are_trained_on(source, tmp_path):
    (source / "validation.txt").write_text("qzx" * 400)
    found = prepare(Data(source=str(source), tokenizer="bpe:400"), tmp_path / "out")
    assert not any("qzx" in token for token in json.loads(found.definition)["model"]["vocab"])
    assert found.tokenizer.decode(found.validation) == "qzx" * 400


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_goes_through_and_none_holds_a_separator(text):
    tokenizer = trained(TEXTS, 280)
    for content in (text, text + tokenizer.end + text):
        tokens = tokenizer.encode(content)
        assert tokenizer.decode(tokens) == content
        assert tokenizer.separator not in tokens
        assert max(tokens, default=0) < tokenizer.vocab_size


def test_pieces_of_a_long_text_are_the_text():
    lines = ("é" * 99 + "\n") * (PIECE // 50)
    pieces = list(cut(lines))
    assert "".join(pieces) == lines
    assert [len(piece) <= PIECE and piece.endswith("\n") for piece in pieces] == [True] * len(pieces)
    assert list(map(len, cut("x" * (PIECE + 1)))) == [PIECE, 1]
    tokenizer = trained([lines], 300)
    (tokens,) = tokenizer.encode_documents([lines])
    assert tokenizer.decode(tokens) == lines
    assert [len(found) for found in tokenizer.encode_documents(["", "a", lines])] == [0, 1, len(tokens)]


def test_a_tokenizer_of_the_user_s_gets_a_token_between_documents(source, words, tmp_path):
    found = prepare(Data(source=str(source), tokenizer=str(words)), tmp_path / "out")
    assert (found.vocab_size, found.meta["separator"]) == (5, 4)
    assert found.train.dtype == np.uint8
    assert len(documents_of(found.train, 4)) == found.meta["splits"]["train"]["documents"]
    assert found.tokenizer.encode("heart of words and more words") == [1, 2, 3, 0, 0, 3]  # nothing is cut off
    folder = tmp_path / "out"
    assert hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest() == found.meta["tokenizer"]


def test_a_prepared_folder_brings_its_tokenizer(source, tmp_path):
    found = prepare(Data(source=str(source), tokenizer="bpe:300"), tmp_path / "first")
    again = prepare(Data(source=str(tmp_path / "first")), tmp_path / "second")
    assert again.digest == found.digest
    assert again.definition == found.definition
    assert again.bytes_per_token == found.bytes_per_token
    with pytest.raises(DataError, match="takes text"):
        prepare(Data(source=str(tmp_path / "first"), tokenizer="bpe:300"), tmp_path / "third")
    (tmp_path / "first" / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="SHA-256"):
        _ = load_tokens(tmp_path / "first").tokenizer
    with pytest.raises(DataError, match="SHA-256"):
        prepare(Data(source=str(tmp_path / "first")), tmp_path / "third")


def test_bytes_that_were_prepared_can_be_given_a_tokenizer(source, tmp_path):
    prepare(Data(source=str(source)), tmp_path / "bytes")
    found = prepare(Data(source=str(tmp_path / "bytes"), tokenizer="bpe:300"), tmp_path / "bpe")
    assert found.digest == prepare(Data(source=str(source), tokenizer="bpe:300"), tmp_path / "direct").digest


def test_a_lone_document_is_cut_between_characters(tmp_path):
    (tmp_path / "text.txt").write_text("語" * 500)
    for fraction in (0.1, 0.101, 0.102):
        data = Data(source=str(tmp_path / "text.txt"), tokenizer="bpe:300", validation_fraction=fraction)
        found = prepare(data, tmp_path / "out")
        text = found.tokenizer.decode(found.train) + found.tokenizer.decode(found.validation)
        assert text in ("語" * 500, "語" * 499)


def test_the_tokenizer_is_part_of_the_digest_and_large_ones_take_four_bytes(source, tmp_path):
    digests = {
        prepare(Data(source=str(source), tokenizer=name), tmp_path / "out").digest
        for name in ("bytes", "bpe:300", "bpe:301")
    }
    assert len(digests) == 3
    assert [token_type(size).name for size in (256, 257, 65_536, 65_537)] == [
        "uint8",
        "uint16",
        "uint16",
        "uint32",
    ]
    names = {f"word{index}": index for index in range(70_000)} | {"</s>": 70_000}
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="</s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "large.json"))
    (source / "0.txt").write_text("word69999 " * 60)
    found = prepare(Data(source=str(source), tokenizer=str(tmp_path / "large.json")), tmp_path / "large")
    found.verify()
    assert (found.vocab_size, found.train.dtype.itemsize) == (70_001, 4)
    assert 69_999 in found.train or 69_999 in found.validation


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": 3}', "\x00\xff"])
def test_what_is_no_tokenizer_is_refused_and_nothing_is_written(source, content, tmp_path):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(DataError, match=r"not a tokenizer\.json") as caught:
        prepare(Data(source=str(source), tokenizer=str(tmp_path / "tokenizer.json")), tmp_path / "out")
    assert str(tmp_path / "tokenizer.json") in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_is_not_there_or_too_large_is_refused(source, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        prepare(Data(source=str(source), tokenizer="byts"), tmp_path / "out")
    names = {str(index): index for index in range(MAX_VOCABULARY + 1)}
    with pytest.raises(DataError, match="262,144 tokens"):
        adopted(Tokenizer(models.WordLevel(names, unk_token="0")).to_str().encode(), "large")
    for wrong in ("bpe:256", "bpe:", "bpe:x", "bpe:262145", "bpe:9999999999", ""):
        with pytest.raises(ConfigError, match="bpe:"):
            params_from({"data": {"tokenizer": wrong}}, "params.yaml")


def test_metadata_that_does_not_fit_a_tokenizer_is_refused(source, tmp_path):
    meta = prepare(Data(source=str(source), tokenizer="bpe:300"), tmp_path / "out").meta
    check_meta(meta, "here")
    for change in ({"tokenizer": "x"}, {"separator": None}, {"splits": {**meta["splits"], "train": {}}}):
        with pytest.raises(DataError, match="here"):
            check_meta(meta | change, "here")


def test_stored_experiments_do_not_know_of_tokenizers():
    assert stated("data", Data()) == {"source": "kjv", "validation_fraction": 0.05}
    assert "tokenizer" not in Params().identity()["data"]
    assert Params(data=Data(tokenizer="bpe:300")).identity()["data"]["tokenizer"] == "bpe:300"


def test_bits_compare_between_tokenizers():
    assert ByteTokenizer().decode([72, 105, 0]) == "Hi"
    assert (Bits.of_tokens(256, None).unit, Bits.of_tokens(300, None).unit) == ("byte", "token")
    assert Bits.of_tokens(300, 4.0).of(16.0) == Bits.of_tokens(256, None).of(2.0) == 1
    measure = objective("bits_per_byte").measure

    class Compiled:
        vocab_size = 300

    metrics = {"validation_loss": 4 * float(np.log(2)), "bytes_per_token": 4.0}
    assert measure(Compiled, metrics, None) == pytest.approx(1)
    with pytest.raises(ValueError, match="perplexity"):
        measure(Compiled, {"validation_loss": 1.0}, None)
