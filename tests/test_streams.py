"""What commands print and read under any locale, into closed streams and full disks."""

from __future__ import annotations

import ast
import errno
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from star_core.analysis.terminal.output import only_document, people_console, say, say_error, write_anything
from tests.commands import call

ROOT = Path(__file__).parent.parent
STAR = Path(sys.executable).parent / "star"
LETTERS = "front of 2 – ✓ ü 北 → \udcff"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_encoding_takes_any_letter(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    write_anything()
    say(LETTERS)
    people_console().print(LETTERS.removesuffix("\udcff"))
    sys.stdout.flush()
    said = written.getvalue().decode(encoding)
    assert said.count("front of 2") == 2
    assert ("ü" in said) == (encoding != "ascii")


def test_a_stream_that_was_closed_goes_nowhere(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    write_anything()
    say(LETTERS)
    say_error(LETTERS)
    assert [sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()] == [0, 1, 2]


def test_an_error_that_cannot_be_said_is_no_second_one(monkeypatch):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    say_error("x")


def test_a_document_holds_names_that_are_no_text(capfd):
    with only_document() as write:
        write({"path": LETTERS})
    assert json.loads(capfd.readouterr().out) == {"path": LETTERS.replace("\udcff", "?")}


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", ">&- 2>&- <&-"])
def test_a_shell_may_close_any_stream(closed, tmp_path):
    """What a closed stream's number would be given to is the first file that is opened."""
    command = f"exec {STAR} report nowhere {closed}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert ("no generation of this run is stored" in ended.stderr) == ("2>" not in closed)


def test_a_full_disk_is_one_message(tmp_path):
    command = f"exec {STAR} runs > /dev/full"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("star: OSError: No space left on device. Fix: ")
    assert ended.stderr.count("\n") == 1


def test_an_ascii_locale_reads_files_as_utf_8(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ledger.yaml").write_text(
        "# Größe, 大きさ\nledger: {runs: {}, founders: {}, forks: {}, generations: {}, scaled: {}}\n", "utf-8"
    )
    (tmp_path / "params.yaml").write_text("# Größe, 大きさ\nmodel: {width: 24}\n", "utf-8")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [STAR, "inspect", "21211-31112"],
        capture_output=True,
        env={**environment, "HOME": str(tmp_path)},
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"24" in ended.stdout
    assert ended.stdout.isascii()


def test_an_unexpected_error_is_shown_whole_to_who_asks(monkeypatch):
    monkeypatch.setattr("star_core.cli.settle", lambda: 1 / 0)
    ended = call("genes")
    assert (ended.code, ended.err.count("Fix: ")) == (2, 1)
    assert ended.err.startswith("star: ZeroDivisionError: ")
    monkeypatch.setenv("STAR_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        call("genes")


KERNELS = (
    "/proc",
    "_CPUINFO",
    "_STATUS",
    "_CLEAR",
    "_CGROUP",
    "group /",
    "lock",
    "path.read_text().splitlines",
)
"""In lines about files that the kernel writes, or that hold a number."""


def text_without_encoding(source: str) -> list[str]:
    """Lines of a source that read or write text in the encoding of the locale."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        as_text = called in ("read_text", "write_text") or any(word.arg == "text" for word in node.keywords)
        if called in ("open", "fdopen") and modes and modes[0] in ("r", "w", "a"):
            as_text = True
        if as_text:
            found.append(source.splitlines()[node.lineno - 1])
    return found


def test_text_is_utf_8_whatever_the_locale():
    bad, good = ["open(x, 'w')", "run(y, text=True)"], ["p.open('rb')", "open(x, 'w', encoding=e)"]
    assert text_without_encoding("\n".join(bad + good)) == bad
    for path in [*(ROOT / "star_core").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for line in text_without_encoding(path.read_text(encoding="utf-8")):
            assert any(name in line for name in KERNELS), f"{path}: {line.strip()}"
