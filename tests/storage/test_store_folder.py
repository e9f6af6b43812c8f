"""The evaluation store in a folder: a disk that is full or broken, writers that are killed."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from star_core.errors import StorageAway, StoreError
from star_core.storage.evaluations import EvaluationStore
from star_core.storage.failures import cause, is_away, redact
from star_core.storage.files import discard_unfinished, write_atomically
from tests.storage.evaluations import EVALUATION

NAME = f"aa/{EVALUATION.key}.json"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"no file system may be mounted here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    path = folder / "filler"
    with pytest.raises(OSError, match="No space left"):
        path.write_bytes(bytes(1 << 20))
    return path


def test_a_full_disk_is_waited_for(small_disk):
    filler, notes = fill(small_disk), []

    def make_room(text):
        notes.append(text)
        filler.unlink(missing_ok=True)

    store = EvaluationStore(str(small_disk), patience=60, note=make_room)
    store.put(EVALUATION)
    assert store.get(EVALUATION.key) == EVALUATION
    assert ["No space left" in notes[0], notes[1:]] == [True, ["the storage is back"]]
    assert [path.name for path in (small_disk / "aa").iterdir()] == [f"{EVALUATION.key}.json"]


def test_a_disk_that_stays_full_is_an_error_that_says_so_and_breaks_nothing(small_disk):
    EvaluationStore(str(small_disk)).put(EVALUATION)
    fill(small_disk)
    store = EvaluationStore(str(small_disk), patience=0.2)
    with pytest.raises(StorageAway, match=r"No space left.*waited for 0\.2 s.*Fix: free disk space"):
        store.put(EVALUATION)
    assert store.get(EVALUATION.key) == EVALUATION
    assert not list(small_disk.glob("**/.*.tmp"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_is_asked_again(tmp_path, monkeypatch, number):
    real, failures = os.fsync, [OSError(number, os.strerror(number))] * 3
    monkeypatch.setattr(
        "os.fsync", lambda file: (_ for _ in ()).throw(failures.pop()) if failures else real(file)
    )
    notes = []
    EvaluationStore(str(tmp_path), patience=60, note=notes.append).put(EVALUATION)
    assert len(notes) == 2
    assert os.strerror(number) in notes[0]


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.ENOTDIR, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG]
)
def test_what_is_wrong_with_a_disk_is_an_error_at_once(tmp_path, monkeypatch, number):
    failures = [OSError(number, os.strerror(number))]
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(failures.pop()))
    with pytest.raises(StoreError, match=os.strerror(number)) as caught:
        EvaluationStore(str(tmp_path), patience=60).put(EVALUATION)
    assert not isinstance(caught.value, StorageAway)


def test_a_file_where_the_store_should_be_is_an_error_at_once(tmp_path):
    (tmp_path / "store").write_text("")
    store = EvaluationStore(str(tmp_path / "store"), patience=60)
    for ask in (lambda: store.get(EVALUATION.key), lambda: store.put(EVALUATION)):
        with pytest.raises(StoreError, match="Not a directory"):
            ask()


WRITER = """
import os, sys, time
from pathlib import Path
from star_core.storage.files import write_atomically
def never(_):
    print("writing", flush=True)
    time.sleep(600)
os.fsync = never
write_atomically(Path(sys.argv[1]), b"half")
"""


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_stays(tmp_path):
    path = tmp_path / NAME
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "writing\n"
        store = EvaluationStore(str(tmp_path))
        store.discard_unfinished()
        assert len(list(path.parent.iterdir())) == 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        store.discard_unfinished()
        assert list(path.parent.iterdir()) == []


def test_a_file_taken_for_a_left_over_is_written_again(tmp_path, monkeypatch):
    """Between its making and its lock."""
    real, calls = os.fstat, []

    def after_the_sweep(file):
        if not calls:
            calls.extend(tmp_path.glob(".*.tmp"))
            for left in calls:
                left.unlink()
        return real(file)

    monkeypatch.setattr("os.fstat", after_the_sweep)
    write_atomically(tmp_path / "file.json", b"whole")
    assert len(calls) == 1
    assert (tmp_path / "file.json").read_bytes() == b"whole"


def test_nothing_is_discarded_where_there_is_nothing(tmp_path):
    discard_unfinished(tmp_path / "absent")
    (tmp_path / "kept.tmp").write_text("")
    discard_unfinished(tmp_path)
    assert (tmp_path / "kept.tmp").exists()


@pytest.mark.parametrize(
    "text",
    [
        "could not connect to http://user:{}@host/bucket",
        "GET https://s3/b/k?X-Amz-Signature={}&X=1",
        "Authorization: AWS4-HMAC-SHA256 Credential={}/2026/s3, SignedHeaders=host, Signature={}",
        "X-Amz-Security-Token={}",
        "the key {} does not exist",
    ],
)
def test_no_text_keeps_a_secret(monkeypatch, text):
    secret = "AKIAIOSFODNN7EXAMPLE"
    assert secret not in redact(text.format(secret, secret))
    assert cause(ValueError(text.format(secret, secret))) is None
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a/long+secret=")
    assert "long+secret" not in redact("it is a/long+secret= indeed")
    harmless = ValueError("s3://bucket/prefix: no such key")
    assert redact(str(harmless)) == str(harmless)
    assert cause(harmless) is harmless


def test_short_secrets_do_not_garble_texts(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert redact("some text") == "some text"


def test_errors_that_may_pass():
    assert all(map(is_away, [ConnectionResetError(), TimeoutError(), OSError(errno.EIO, "x")]))
    assert not any(map(is_away, [PermissionError(13, "x"), ValueError(), OSError(errno.ENOENT, "x")]))


ASKER = """
import sys
from star_core.storage.leases.leases import Leases
from star_core.storage.evaluations import EvaluationStore
EvaluationStore(sys.argv[1]).get("0" * 64)
Leases(sys.argv[1], None, 1).is_free("0" * 64)
print(sorted({"fsspec", "s3fs", "botocore", "aiohttp", "torch"} & set(sys.modules)))
"""


def test_a_folder_needs_no_cloud(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", ASKER, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
    assert not list(Path(tmp_path).iterdir())
