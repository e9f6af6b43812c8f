"""Whatever goes wrong, a command says it in one message: every command, every boundary, any argument."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect.settings import PREFECT_API_URL, temporary_settings

from star_core.errors import StarError
from tests.commands import call, leaves
from tests.flows.projects import TINY, Project
from tests.strategies import command_lines

COMMANDS = dict(leaves())
OPTIONS = {
    ("generation",): ["--index", "1"],
    ("fork",): ["other", "--source", "main", "--index", "1"],
    ("deploy",): ["--cron", "0 2 * * *"],
    ("evaluate",): ["--tasks", "tasks"],
    ("export",): ["main:g000-00", "--to", "exported"],
    ("generate",): ["main:g000-00"],
    ("inspect",): ["main:g000-00"],
    ("measure",): ["main:g000-00"],
    ("pick",): ["main", "--best", "perplexity"],
    ("resume",): ["main", "--generations", "3"],
    ("evolve",): ["main", "--generations", "3"],
    ("runs", "compare"): ["main", "main"],
    ("runs", "remove"): ["main", "--yes"],
}
"""What a command cannot do without; a command that is not here has none such."""
STOP = StarError("stopped by the test", place="here", fix="let it go on")


@pytest.fixture(scope="module", autouse=True)
def nothing_is_started() -> Iterator[None]:
    """No server, no candidate process and no measurement: what a command does up to there is looked at."""
    with (
        mock.patch("star_flows.run.context.server_at_hand", side_effect=STOP),
        mock.patch("star_flows.schedule.command.api", side_effect=STOP),
        mock.patch("star_flows.schedule.command.run_here", side_effect=STOP),
        mock.patch("star_core.training.processes.pool.CandidatePool.warm_up"),
        mock.patch("star_core.training.processes.pool.CandidatePool.run", side_effect=STOP),
        mock.patch("star_core.measurement.isolated.measure_all", side_effect=STOP),
        mock.patch("star_flows.doctor.checks.SECONDS", 60.0),
        temporary_settings({PREFECT_API_URL: None}),
    ):
        yield


@pytest.fixture
def inside(finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished project, and this process in it."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    parameters = folder / "params.yaml"
    parameters.write_text(parameters.read_text().replace("patience_seconds: 1", "patience_seconds: 0"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    return folder


def check(line: tuple[str, ...] | list[str]) -> str:
    """What a command said; it ended as the help says commands end, and said what to do."""
    ended = call(*line)
    said = ended.out + ended.err
    assert ended.code in (0, 1, 2), (line, said)
    assert "Traceback" not in said, (line, said)
    if ended.code == 2 and "Usage: " not in ended.err:
        assert ended.err.count("Fix: ") == 1, (line, said)
    return said


def files(*names: str) -> Callable[[Path, bytes | None], None]:
    """A fault of files: their content is replaced; ``None``: by a folder."""

    def fault(folder: Path, content: bytes | None) -> None:
        for path in [path for name in names for path in folder.glob(name)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)

    return fault


PLACES = {
    "parameters": files("params.yaml"),
    "ledger": files("data/ledger.yaml"),
    "stages": files("dvc.yaml"),
    "lock": files("dvc.lock"),
    "generations": files("data/populations/main/*.json"),
    "baselines": files("data/baselines/main/*.json"),
    "corpus": files("data/tokens/main/*"),
    "corpora": files("data/tokens/main"),
    "evaluations": files(".star/evaluations/*/*.json"),
    "report": files("data/reports/main"),
    "text": files("corpus.txt"),
    "DVC": files(".dvc/config"),
    "cache": files(".dvc/cache"),
    "private folder": files(".star"),
    "data": files("data"),
}
CONTENTS = (None, b"", b"\xff\xfe\x00\x81", b"[1, {a: b}", b"[]")


def share(turn: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Every third command, others each turn: the whole takes minutes. ``STAR_SWEEP=1`` tries all of them."""
    step = int(os.environ.get("STAR_SWEEP", "3"))
    return ((index, path) for index, path in enumerate(COMMANDS) if (index + turn) % step == 0)


@pytest.mark.parametrize("place", PLACES)
def test_damage_anywhere_is_one_message_of_every_command(place, inside):
    pristine, turn = inside.parent / "pristine", list(PLACES).index(place)
    inside.rename(pristine)
    unforeseen = []
    for index, path in share(turn):
        shutil.copytree(pristine, inside, symlinks=True)
        os.chdir(inside)
        PLACES[place](inside, CONTENTS[(index + turn) % len(CONTENTS)])
        said = check([*path, *OPTIONS.get(path, [])])
        unforeseen += [(path, said)] if "STAR_TRACEBACK" in said else []
        os.chdir(pristine)
        shutil.rmtree(inside)
    assert not unforeseen


class Foreign(Exception):  # noqa: N818
    """What no rule of ours knows."""


ERRORS = [OSError(errno.EIO, "Input/output error"), KeyError("x"), Foreign("of a library [/red]")]
BOUNDARIES = [
    "star_core.config.params_file.yaml.load",
    "star_core.storage.files.json.loads",
    "star_core.storage.open.Folder",
    "star_core.storage.files.tempfile.mkstemp",
    "dvc.repo.Repo.__init__",
    "star_flows.run.locks.FileLock",
    "star_flows.server.database.sqlite3.connect",
    "star_flows.run.session.load_tokens",
    "star_core.machine.machine_fingerprint",
]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_an_error_of_a_library_is_no_traceback(boundary, inside):
    turn = BOUNDARIES.index(boundary)
    for index, path in share(turn):
        with mock.patch(boundary, side_effect=ERRORS[(index + turn) % len(ERRORS)]):
            check([*path, *OPTIONS.get(path, [])])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_argument_is_taken_or_refused_in_one_message(path, data, tmp_path):
    folder = tmp_path / "any"
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump({**TINY, "data": {"source": "nowhere.txt"}}))
    here = Path.cwd()
    os.chdir(folder)
    try:
        check([*path, *data.draw(command_lines(COMMANDS[path]))])
    finally:
        os.chdir(here)


def test_every_command_is_swept():
    named: list[Any] = [
        parameter
        for path, command in COMMANDS.items()
        for parameter in command.params
        if parameter.required and path not in OPTIONS
    ]
    assert not named, "say in OPTIONS what it needs"
    assert len(COMMANDS) > 15
