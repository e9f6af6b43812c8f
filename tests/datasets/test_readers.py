"""Files of each kind become their texts, or an error that says which file, where, and what to do."""

import csv
import gzip
import io
import json

import fsspec
import numpy as np
import pytest
from star_flows.commands.stages import prepare_command
from star_flows.run.paths import RunPaths

from star_core.config import Data
from star_core.datasets import load_tokens, prepare
from star_core.datasets.corpus import READINGS, load_corpus
from star_core.errors import DataError

arrow = pytest.importorskip("pyarrow", reason="needs the extra: pip install '.[data]'")
parquet = pytest.importorskip("pyarrow.parquet")

TEXTS = ["The first, with a comma.", 'Two "lines"\nand ünïcode', "third と"]
RECORDS = [{"id": index, "body": text, "note": "n"} for index, text in enumerate(TEXTS)]


def as_csv(delimiter=","):
    written = io.StringIO()
    writer = csv.DictWriter(written, ["id", "body", "note"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(RECORDS)
    return written.getvalue().encode()


def as_parquet():
    written = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(RECORDS), written)
    return written.getvalue()


def as_arrow(new):
    written, table = io.BytesIO(), arrow.Table.from_pylist(RECORDS)
    with new(written, table.schema) as writer:
        writer.write_table(table, 2)
    return written.getvalue()


CONTENTS = {
    "a.jsonl": "".join(json.dumps(record) + "\n" for record in RECORDS).encode(),
    "a.csv": as_csv(),
    "a.tsv": as_csv("\t"),
    "a.parquet": as_parquet(),
    "file.arrow": as_arrow(arrow.ipc.new_file),
    "stream.arrow": as_arrow(arrow.ipc.new_stream),
}


def zstd(content):
    return arrow.compress(content, "zstd", asbytes=True)


def texts_of(corpus):
    return [bytes(document).decode() for document in corpus.documents]


def normal(texts):
    return [text.replace("\r\n", "\n") for text in texts]


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstd)])
def test_every_kind_is_read_compressed_or_not_here_or_afar(tmp_path, name, suffix, pack):
    (tmp_path / (name + suffix)).write_bytes(pack(CONTENTS[name]))
    data = Data(source=str(tmp_path), text_key="body")
    assert normal(texts_of(load_corpus(data))) == TEXTS
    fsspec.filesystem("memory").pipe(f"/{name}{suffix}/{name}{suffix}", pack(CONTENTS[name]))
    data = Data(source=f"memory://{name}{suffix}", text_key="body")
    assert normal(texts_of(load_corpus(data))) == TEXTS


@pytest.mark.parametrize("name", CONTENTS)
def test_a_wrong_key_is_answered_with_the_fields_there_are(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENTS[name])
    for key in ("text", "id") if name.endswith(("parquet", "arrow", "jsonl")) else ("text",):
        with pytest.raises(DataError, match=r"data\.text_key.*body, note") as caught:
            load_corpus(Data(source=str(tmp_path / name), text_key=key))
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, content[: len(content) * 2 // 3]) for name, content in CONTENTS.items() if name != "a.tsv"),
        *((name + ".gz", gzip.compress(content, mtime=0)[:-12]) for name, content in CONTENTS.items()),
        *((name + ".zst", zstd(content)[:-12]) for name, content in CONTENTS.items()),
        *((name, b"") for name in CONTENTS if name != "a.jsonl"),
        *((name, b"\x00\x01nothing of the kind" * 9) for name in CONTENTS),
        ("a.txt.gz", b"not compressed"),
        ("a.txt.zst", b"not compressed"),
        ("a.txt", "Wörter".encode("latin-1")),
        ("a.csv", b"text,id\nhello"),
        ("a.csv", "text\nW\xf6rter".encode("latin-1")),
        ("a.jsonl", b'["text"]'),
        ("a.py", b"\x00\x00"),
    ],
)
def test_damaged_files_are_named_and_nothing_is_written(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    key = "text" if b"text" in content[:9] else "body"
    with pytest.raises(DataError) as caught:
        prepare(Data(source=str(tmp_path / name), text_key=key), tmp_path / "out")
    assert name in str(caught.value)
    assert caught.value.fix
    assert not (tmp_path / "out").exists()


def test_text_of_two_bytes_a_character_is_read(tmp_path):
    (tmp_path / "a.txt").write_bytes("Wörter\r\nと".encode("utf-16"))
    (tmp_path / "b.txt").write_bytes(b"\xfe\xff" + "Wörter".encode("utf-16-be"))
    (tmp_path / "c.csv").write_bytes("text\nWörter と\n".encode("utf-16"))
    assert texts_of(load_corpus(Data(source=str(tmp_path)))) == ["Wörter\nと", "Wörter", "Wörter と"]


def test_source_code_and_records_without_a_text(tmp_path):
    (tmp_path / "a.py").write_text("print()\n")
    table = arrow.table({"text": arrow.array(["x", None, "y"]).dictionary_encode()})
    parquet.write_table(table, tmp_path / "b.parquet")
    assert texts_of(load_corpus(Data(source=str(tmp_path)))) == ["print()\n", "x", "y"]


def test_what_is_not_read_is_counted_and_listed(tmp_path):
    for name in ("a.txt", "b.png", "c.png", "LICENSE", ".git/x.txt", "state.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text " * 40)
    (tmp_path / "blank.md").write_text("\n")
    found = []
    prepare(Data(source=str(tmp_path)), tmp_path.parent / f"{tmp_path.name} out", note=found.append)
    assert found == [
        "not read: 2 .png, 1 without a suffix, 1 empty, 1 hidden (LICENSE, b.png, blank.md, c.png)"
    ]
    assert load_corpus(Data(source=str(tmp_path / "a.txt"))).skipped == ""


def test_folders_of_save_to_disk_are_read_with_their_splits(tmp_path):
    for split, texts in {"train": ["one", "two"], "validation": ["three"]}.items():
        (tmp_path / split).mkdir()
        table = arrow.table({"text": texts})
        with arrow.ipc.new_stream(
            str(tmp_path / split / "data-00000-of-00001.arrow"), table.schema
        ) as writer:
            writer.write_table(table)
        (tmp_path / split / "state.json").write_text("{}")
        (tmp_path / split / "dataset_info.json").write_text("{}")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    corpus = load_corpus(Data(source=str(tmp_path)))
    assert (texts_of(corpus), corpus.held_out, corpus.skipped) == (["one", "two", "three"], {2}, "")


def test_shards_may_name_the_token_that_ends_documents(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    np.array([5, 6, 0, 7, 0], "<u2").tofile(folder / "train_0.bin")
    np.array([0, 8, 9], "<u2").tofile(folder / "val_0.bin")
    (folder / "meta.json").write_text('{"vocab_size": 300, "separator": 0}')
    corpus = load_corpus(Data(source=str(folder)))
    assert [document.tolist() for document in corpus.documents] == [[5, 6], [7], [8, 9]]
    assert (corpus.separator, corpus.held_out) == (0, {2})
    assert len(load_corpus(Data(source=str(folder)), READINGS[1]).documents) == 2
    for wrong in (300, -1, "0", True):
        (folder / "meta.json").write_text(json.dumps({"vocab_size": 300, "separator": wrong}))
        with pytest.raises(DataError, match="separator"):
            load_corpus(Data(source=str(folder)))


def test_a_stored_run_gets_the_corpus_it_was_made_from(tmp_path):
    source = tmp_path / "texts"
    source.mkdir()
    for index in range(9):
        (source / f"{index}.txt").write_text(f"text {index} " * 30)
    before = prepare(Data(source=str(source)), tmp_path / "before")
    content = {path.name: path.read_bytes() for path in (tmp_path / "before").iterdir()}
    (source / "later.py").write_text("print()\n" * 30)
    new = prepare(Data(source=str(source)), tmp_path / "new")
    assert new.digest != before.digest
    again = prepare(Data(source=str(source)), tmp_path / "again", expected=before.digest)
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == content
    assert prepare(Data(source=str(source)), tmp_path / "new", expected=new.digest).digest == new.digest
    assert prepare(Data(source=str(source)), tmp_path / "new", expected="0" * 64).digest == new.digest
    (source / "broken.csv").write_text("")
    assert (
        prepare(Data(source=str(source)), tmp_path / "again", expected=before.digest).digest == before.digest
    )


def test_the_command_says_what_it_did_not_read(tmp_path, capsys):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("text " * 100)
    (tmp_path / "texts" / "a.bmp").write_text("")
    (tmp_path / "params.yaml").write_text(f"data: {{source: {tmp_path / 'texts'}, tokenizer: 'bpe:300'}}\n")
    prepare_command(RunPaths(str(tmp_path), "main", "params.yaml"))
    assert "not read: 1 .bmp (a.bmp)" in capsys.readouterr().out
    assert load_tokens(tmp_path / "data" / "tokens" / "main").vocab_size <= 300
