"""A prepared folder is what it says, or a DataError says where not."""

import json

import pytest

from star_core.config import Data
from star_core.datasets import load_tokens, prepare
from star_core.errors import DataError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text.txt").write_text("It is a truth universally acknowledged. " * 20)
    prepare(Data(source=str(tmp_path / "text.txt"), validation_fraction=0.25), tmp_path / "tokens")
    return tmp_path / "tokens"


def change(folder, edit):
    meta = json.loads((folder / "meta.json").read_text())
    edit(meta)
    (folder / "meta.json").write_text(json.dumps(meta))


def test_loads_what_was_prepared(folder):
    tokens = load_tokens(folder)
    assert bytes(tokens.train) + bytes(tokens.validation) == b"It is a truth universally acknowledged. " * 20
    assert (len(tokens.train), len(tokens.validation)) == (600, 200)
    assert not tokens.train.flags.writeable
    tokens.verify()


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda meta: meta.update(format="other"), ["format", "star-tokens"]),
        (lambda meta: meta.update(version=2), ["version 1 is read here"]),
        (lambda meta: meta.update(extra=1), ["extra"]),
        (lambda meta: meta.pop("name"), ["name"]),
        (lambda meta: meta.update(vocab_size=1), ["vocab_size", "from 2 to 262144"]),
        (lambda meta: meta.update(vocab_size="256"), ["vocab_size"]),
        (lambda meta: meta.update(vocab_size=True), ["vocab_size"]),
        (lambda meta: meta.update(dtype="uint16"), ["dtype", "uint8 for a vocabulary of 256"]),
        (lambda meta: meta.update(separator=256), ["separator"]),
        (lambda meta: meta.update(splits=[]), ["splits"]),
        (lambda meta: meta["splits"].pop("train"), ["splits"]),
        (lambda meta: meta["splits"].update(train=3), ["splits.train"]),
        (lambda meta: meta["splits"]["train"].update(tokens=0), ["splits.train.tokens"]),
        (lambda meta: meta["splits"]["train"].update(tokens=-1), ["splits.train.tokens"]),
        (lambda meta: meta["splits"]["train"].update(tokens=601), ["train.bin", "601 tokens"]),
        (lambda meta: meta["splits"]["validation"].update(sha256="x"), ["splits.validation.sha256"]),
    ],
)
def test_bad_meta_is_named(folder, edit, words):
    change(folder, edit)
    with pytest.raises(DataError) as caught:
        load_tokens(folder)
    for word in [*words, "Fix: "]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"3", b"{", b"\xff", b'{"a": NaN}', b"[" * 10**5, b" " * (2 << 20)]
)
def test_malformed_meta_is_refused(folder, content):
    (folder / "meta.json").write_bytes(content)
    with pytest.raises(DataError, match=r"meta\.json"):
        load_tokens(folder)


def test_missing_parts_are_named(folder, tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_tokens(tmp_path / "nowhere")
    (folder / "train.bin").unlink()
    with pytest.raises(DataError, match=r"train\.bin"):
        load_tokens(folder)


def test_truncated_tokens_are_refused_at_once(folder):
    content = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(content[:-1])
    with pytest.raises(DataError, match="600 tokens"):
        load_tokens(folder)


def test_verify_finds_changed_content_and_foreign_tokens(folder):
    content = bytearray((folder / "train.bin").read_bytes())
    content[7] ^= 1
    (folder / "train.bin").write_bytes(content)
    with pytest.raises(DataError, match="SHA-256"):
        load_tokens(folder).verify()
    (folder / "train.bin").write_bytes(b"It is a truth universally acknowledged. " * 15)
    change(folder, lambda meta: meta.update(vocab_size=100))
    with pytest.raises(DataError, match="below the vocabulary size 100"):
        load_tokens(folder).verify()


def test_digest_depends_on_content_and_vocabulary_alone(folder):
    digest = load_tokens(folder).digest
    change(folder, lambda meta: meta.update(name="renamed", sources="elsewhere"))
    assert load_tokens(folder).digest == digest
    change(folder, lambda meta: meta.update(vocab_size=255))
    assert load_tokens(folder).digest != digest
