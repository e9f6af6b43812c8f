"""``star evaluate``: as a user types it, without a network, and what it refuses."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from star_core.analysis.terminal.output import plain, print_parts
from star_core.downstream import harness
from star_core.downstream.command import evaluate_command
from star_core.errors import ConfigError, StarError

ROOT = Path(__file__).parent.parent.parent
VERSES = ROOT / "examples/tasks/verses.yaml"
needs_lm_eval = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason="needs the extra: pip install '.[evaluate]'"
)
NO_NETWORK = """
import socket

def connect(self, address):
    raise AssertionError(f"a connection to {address}")

socket.socket.connect = socket.socket.connect_ex = connect
"""


def star(folder, *arguments, code=0):
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    result = subprocess.run(
        [str(Path(sys.executable).parent / "star"), *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(folder), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout, result.stderr


@pytest.fixture
def evaluate(root, monkeypatch):
    """The command in this process, whose environment it must not change."""
    monkeypatch.setattr("star_core.downstream.command.go_offline", lambda _: None)
    return lambda run="main", tasks=VERSES, **options: evaluate_command(run, root, tasks, **options)


@needs_lm_eval
def test_all_architectures_are_evaluated_offline_and_alike_each_time(root, evaluate, tmp_path):
    (tmp_path / "data").symlink_to(root)
    arguments = ("--tasks", str(VERSES), "--limit", "6")
    output, errors = star(tmp_path, "evaluate", "main", *arguments)
    assert errors.strip() == ""
    for text in ("verses (6 items)", "acc ↑", "Transformer++", "g000-00", "±", "up to 32 tokens"):
        assert text in output
    assert "g000-01" not in output  # it diverged and has no weights
    content = json.loads(star(tmp_path, "evaluate", "main", *arguments, "--json")[0])
    assert [architecture["name"] for architecture in content["architectures"]] == ["transformer++", "g000-00"]
    for architecture in content["architectures"]:
        score = architecture["scores"]["verses"]["acc"]
        assert score["value"] * 6 == pytest.approx(round(score["value"] * 6))
        assert score["higher_is_better"]
    assert (content["run"], content["limit"], content["context"]) == ("main", 6, 32)
    assert (tmp_path / ".star/datasets").is_dir()
    assert not (tmp_path / ".cache/huggingface").exists()
    assert json.loads(json.dumps(plain(evaluate(limit=6).data))) == content


@needs_lm_eval
def test_one_architecture_with_a_context_of_one_s_own(evaluate, capsys):
    print_parts(evaluate(names=["g000-00"], limit=2, context=100).parts)
    output = capsys.readouterr().out
    assert "g000-00" in output
    assert "Transformer++" not in output
    assert "up to 100 tokens" in output


@needs_lm_eval
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run": "other"}, r"other.*no retrained weights.*star retrain other"),
        ({"names": ["g000-02"]}, r"g000-02.*no such architecture.*did you mean 'g000-0"),
        ({"names": ["g000-01"]}, r"ended as diverged.*star retrain main"),
        ({"scaled": "width-9-depth-3"}, r"width-9-depth-3.*of that size.*star retrain main --width"),
        ({"scaled": "../retrain"}, r"the name of a retraining at another size"),
        ({"tasks": Path("nothing.yaml")}, r"nothing.yaml.*no such file or folder"),
        ({"run": "../main"}, "run"),
    ],
)
def test_what_is_not_there_is_named(evaluate, options, message):
    with pytest.raises(StarError, match=message) as caught:
        evaluate(**options)
    assert caught.value.fix


def test_without_lm_eval_the_extra_is_named(evaluate, monkeypatch):
    def absent(_):
        raise harness.PackageNotFoundError

    monkeypatch.setattr(harness, "version", absent)
    with pytest.raises(ConfigError, match=r"not installed.*pip install '\.\[evaluate\]'"):
        evaluate()
    for found in ("0.4.11", "0.5.0", "0.5.0.dev1", "0.3"):
        monkeypatch.setattr(harness, "version", lambda _, found=found: found)
        with pytest.raises(ConfigError, match=r"lm-eval <0\.5,>=0\.4\.12 is needed"):
            evaluate()
