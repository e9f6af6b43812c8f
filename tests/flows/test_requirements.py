"""What a run needs is tried before anything is trained, and `star doctor` finds the same."""

from __future__ import annotations

import getpass
import os
import pwd
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from star_flows.commands.preparation import check_experiment
from star_flows.commands.reproduce import project_apart
from star_flows.commands.stages import make
from star_flows.doctor import checks, project
from star_flows.doctor.finding import Level
from star_flows.doctor.finding import Project as Patient
from star_flows.run.paths import RunPaths
from star_flows.run.session import Session
from star_flows.server.database import check_database
from star_flows.server.process import answers, prefect_server, reason
from star_flows.versions import dvc

from star_core.environment import settle
from star_core.errors import ConfigError, StarError, StoreError
from star_core.objectives.runtimes import Runtime
from star_core.population.generation import stored_generations
from star_core.storage.files import require_writable, write_atomically
from tests.flows.checkups import answering, only
from tests.flows.projects import ROOT, TINY, environment_for

Fault = Callable[[Path], object]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A git and DVC repository of which nothing was made yet."""
    folder = tmp_path_factory.mktemp("template") / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    Repo.init(str(folder)).close()
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "data").mkdir()
    shutil.copy(ROOT / "data/ledger.yaml", folder / "data")
    (folder / "params.yaml").write_text(yaml.safe_dump({**TINY, "data": {"source": "corpus.txt"}}))
    return folder


@pytest.fixture
def folder(template, tmp_path):
    """Prefect's home beside it; no server is named."""
    shutil.copytree(template, tmp_path / "project", symlinks=True)
    with temporary_settings({PREFECT_API_URL: None, PREFECT_HOME: tmp_path / "prefect"}):
        yield tmp_path / "project"


def replaced(name: str) -> Fault:
    """A file stands where a folder is needed."""

    def fault(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("in the way")

    return fault


def linked(name: str, target: str) -> Fault:
    """A folder is a link to another place."""

    def fault(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        (folder.parent / "elsewhere").mkdir()
        path.symlink_to(folder.parent / target)

    return fault


def database(version: str | None) -> Fault:
    """Prefect's database is of another version; ``None``: damaged."""

    def fault(folder: Path) -> None:
        path = folder.parent / "prefect/prefect.db"
        path.parent.mkdir(exist_ok=True)
        if version is None:
            path.write_bytes(b"garbage " * 1000)
            return
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        connection.close()

    return fault


FAULTS: dict[str, tuple[Fault, str]] = {
    "no git": (lambda at: shutil.rmtree(at / ".git"), "git init"),
    "an empty .git": (lambda at: [shutil.rmtree(at / ".git"), (at / ".git").mkdir()], "git init"),
    "DVC's settings": (lambda at: (at / ".dvc/config").write_text("[core\nx"), "config file error"),
    "DVC's lock file": (lambda at: (at / "dvc.lock").write_text("stages: ["), "dvc.lock"),
    "a folder dvc.lock": (lambda at: (at / "dvc.lock").mkdir(), "dvc.lock"),
    "dvc.yaml": (lambda at: (at / "dvc.yaml").write_text("stages: ["), "dvc.yaml"),
    "DVC's temporary folder": (replaced(".dvc/tmp"), ".dvc/tmp"),
    "DVC's cache": (replaced(".dvc/cache"), ".dvc/cache: cannot be written (no folder is there)"),
    "a folder outside of git": (linked("data/tokens", "elsewhere"), "git refuses what is outside"),
    "all data outside of git": (linked("data", "elsewhere"), "git refuses what is outside"),
    "a link to nowhere": (linked("data/tokens", "gone"), "data/tokens: cannot be written (no folder is"),
    "data": (replaced("data"), "data: "),
    "populations": (replaced("data/populations"), "data/populations: "),
    ".star": (replaced(".star"), ".star: cannot be written"),
    "locks": (replaced(".star/locks"), ".star/locks: cannot be written"),
    "evaluations": (replaced(".star/evaluations"), "cannot be written"),
    "Prefect's home": (replaced("../prefect"), "or set PREFECT_HOME to a folder that is"),
    "a damaged database": (database(None), "Prefect's database cannot be used (file is not a database)"),
    "a newer database": (database("f" * 12), f"{'f' * 12!r}: Prefect's database was made by another version"),
}


def everything(folder: Path) -> dict[str, bytes | None]:
    """What there is, but for what DVC and locks keep for themselves."""
    private = (".dvc/tmp", ".dvc/cache", ".star")
    return {
        name: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not (name := str(path.relative_to(folder))).startswith(private)
    }


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_message_before_anything_is_trained_and_the_doctors_too(name, folder):
    fault, message = FAULTS[name]
    fault(folder)
    before = everything(folder)
    session = Session(RunPaths(str(folder), "main"))
    with pytest.raises(StarError) as raised:
        check_experiment(session)
    assert message in str(raised.value)
    assert raised.value.fix
    assert session.trainer._pool is None
    assert everything(folder) == before
    sections = dict(checks.examine(Patient(folder, "params.yaml")))
    said = [row.text + row.fix for rows in sections.values() for row in rows if row.level is Level.PROBLEM]
    assert any(raised.value.rule in text and raised.value.fix in text for text in said), said
    assert everything(folder) == before


def test_without_a_fault_nothing_is_refused_or_left(folder):
    before = everything(folder)
    session = Session(RunPaths(str(folder), "main"))
    check_experiment(session)
    assert everything(folder) == before
    assert not [path for path in (folder / ".star").rglob("*") if path.is_file()]


@pytest.mark.parametrize("index", [0, 1])
def test_what_trains_tries_it_whatever_command_it_is(index, folder):
    replaced(".star/evaluations")(folder)
    with pytest.raises(StoreError, match="cannot be written"):
        make(Session(RunPaths(str(folder), "main")), index)


def test_a_file_size_limit_is_refused(folder, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (102_400, -1))
    with pytest.raises(ConfigError, match=r"ulimit -f: '102,400 bytes'.*ulimit -f unlimited"):
        check_experiment(Session(RunPaths(str(folder), "main")))


def test_a_server_that_does_not_answer_is_refused(folder):
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(StarError, match=r"PREFECT_API_URL: 'http://127.0.0.1:9/api'.*nothing answers"),
    ):
        check_experiment(Session(RunPaths(str(folder), "main")))


@contextmanager
def somebody_else():
    """Whoever runs the tests, but not root, whom no folder refuses."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_this_user_may_not_write_is_said():
    with tempfile.TemporaryDirectory() as outside:  # pytest's own folders let nobody else in
        Path(outside).chmod(0o755)
        closed = Path(outside, "closed")
        closed.mkdir(mode=0o555)
        with somebody_else():
            for folder in (closed, closed / "a/b"):
                with pytest.raises(StoreError, match=r"closed: cannot be written \(Permission .*Fix: "):
                    require_writable(folder)
        assert list(closed.iterdir()) == []


def test_a_space_that_llama_cpp_has_no_layers_for_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Runtime, "require", lambda _: None)  # it need not be installed
    parameters = folder / "params.yaml"
    stated = yaml.safe_load(parameters.read_text())
    stated["objectives"] = {"names": ["perplexity", "decode_seconds_per_token"], "runtime": "llama.cpp"}
    parameters.write_text(yaml.safe_dump(stated))
    with pytest.raises(ConfigError, match=r"no layer for .*, a class of the space.*lfm2-norm"):
        check_experiment(Session(RunPaths(str(folder), "main")))
    stated["space"] = {"preset": "lfm2-norm", "depth": 4}
    stated["model"] = {"width": 64}
    parameters.write_text(yaml.safe_dump(stated))
    check_experiment(Session(RunPaths(str(folder), "main")))


def test_a_database_that_is_busy_or_not_there_is_fine(folder):
    check_database()
    database("a" * 12)(folder)
    with sqlite3.connect(folder.parent / "prefect/prefect.db") as other:
        other.execute("DELETE FROM alembic_version")
        check_database()
    other.close()


def test_a_server_says_why_it_does_not_start(tmp_path):
    environment = environment_for(tmp_path)
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect/prefect.db").write_bytes(b"garbage " * 1000)
    with (
        pytest.raises(StarError, match=r"did not start \(sqlalchemy\S+ \(\S+\) file is not a database\)"),
        prefect_server(environment, services=False),
    ):
        pytest.fail("it started")


def test_the_reason_is_the_last_error():
    assert reason([]) == "it says nothing"
    assert (
        reason(["a.b.FirstError: x\n", "  at y\n", "c.LastError: z\n", "ERROR: Exiting.\n"])
        == "c.LastError: z"
    )
    assert reason(["no such option\n", "\n"]) == "no such option"


def test_git_that_refuses_anothers_folder_is_not_taken_for_no_repository(folder, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    finding = only(project.git, Patient(folder, "params.yaml"))
    assert finding.level is Level.PROBLEM
    assert finding.fix == f"git config --global --add safe.directory {folder}"


def test_a_project_below_the_repository_or_behind_a_link_is_versioned(finished, tmp_path, monkeypatch):
    whole, inner = tmp_path / "whole", tmp_path / "whole/inner"
    shutil.copytree(finished.folder, inner, symlinks=True)
    for name in (".git", ".dvc"):
        (inner / name).rename(whole / name)
    (inner / "dvc.lock").unlink()
    (tmp_path / "link").symlink_to(inner)
    for folder in (inner, tmp_path / "link"):
        monkeypatch.chdir(folder)
        paths = RunPaths(str(folder), "main")
        dvc.check(paths)
        _, stage, *_ = dvc.uncommitted(paths, 2)  # the corpus is committed again with the founders
        dvc.commit(paths, [stage])
        assert stage not in dvc.uncommitted(paths, 2)
    assert stage in (inner / "dvc.lock").read_text()
    assert only(project.dvc, Patient(inner, "params.yaml")).text.startswith(f"repository at {whole} with")


@pytest.fixture
def unknown_user(monkeypatch):
    """The user has a number that no name belongs to; what is set of the environment is undone."""

    def nobody(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_user_without_a_name_gets_one(unknown_user, folder):
    with pytest.raises(KeyError):
        getpass.getuser()
    settle()
    assert getpass.getuser() == f"uid-{os.getuid()}"
    check_experiment(Session(RunPaths(str(folder), "main")))  # DVC names a folder by the user


def test_a_user_without_a_home_is_told(unknown_user, monkeypatch):
    monkeypatch.delenv("HOME")
    with pytest.raises(ConfigError, match=r"HOME: .*has no home folder.* Fix: export HOME=FOLDER"):
        settle()


@pytest.mark.parametrize("excluded", ["", "example.org", "*"])
def test_loopback_never_goes_through_a_proxy(excluded, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, excluded)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxies it began with
    with answering(200, "127.0.0.1") as port:
        url = f"http://127.0.0.1:{port}/api"
        if excluded != "*":
            assert not answers(url)
        settle()
        assert answers(url)
        with SyncPrefectClient(url) as client:
            assert client.api_healthcheck() is None
    assert os.environ["no_proxy"].startswith(excluded)


def test_without_a_proxy_the_environment_stays(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    before = dict(os.environ)
    settle()
    assert dict(os.environ) == before


def test_a_file_that_may_not_be_so_large_is_said(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StoreError, match=r"File too large.*ulimit -f unlimited") as raised:
            write_atomically(tmp_path / "file", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.place == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_reproduce_tries_its_own_folder_first(finished, tmp_path):
    shutil.copytree(finished.folder / "data", tmp_path / "data")
    (tmp_path / ".star").write_text("in the way")
    generation = stored_generations("main", tmp_path / "data")[-1]
    with pytest.raises(StoreError, match=r"\.star: cannot be written \(no folder is there\). Fix: "):
        project_apart(tmp_path, "main", generation)
