"""`star doctor`: what it finds wrong, what it leaves behind (nothing), and what it never says."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect.client.schemas.objects import WorkerStatus
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import (
    PREFECT_API_URL,
    temporary_settings,
)
from rich.console import Console
from star_flows.doctor import (
    checks,
    cluster,
    installed,
    machine,
    project,
    runs,
    server,
    storage,
)
from star_flows.doctor.command import SUBJECT_WIDTH, doctor_command, table
from star_flows.doctor.finding import Finding, Level, Project, ok, problem, shown_url, warning

from star_core.analysis.terminal.output import print_parts
from star_core.storage import trial
from tests.flows.checkups import SECRET, answering, empty_project, found, only, secret_file
from tests.flows.projects import TINY
from tests.flows.projects import Project as Folder
from tests.object_store import ObjectStore


@pytest.fixture
def place(tmp_path):
    """A project folder with tiny parameters and nothing else."""
    return empty_project(tmp_path)


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    return Project(tmp_path / "project", "params.yaml")


def with_params(place: Project, **sections: object) -> Project:
    place.root.joinpath("params.yaml").write_text(yaml.safe_dump({**TINY, **sections}))
    return Project(place.root, place.file)


# -- installed and machine


def test_this_environment_is_as_tested(place):
    assert {
        finding.level for check in (installed.python, installed.packages) for finding in check(place)
    } == {Level.OK}
    assert only(installed.torch, place).text.startswith("2.")


@pytest.mark.parametrize(
    ("name", "version", "level", "text"),
    [
        ("fastapi", "0.160.0", Level.PROBLEM, "Prefect 3.8 fails with it"),
        ("sqlalchemy", "2.1.0", Level.PROBLEM, "<2.1,>=2.0 is needed"),
        ("pymoo", None, Level.PROBLEM, "is not installed"),
        ("prefect", "3.8.1", Level.WARNING, "prefect 3.8.1 ("),
    ],
)
def test_packages_out_of_bounds_are_problems(place, monkeypatch, name, version, level, text):
    real = installed.version_of
    monkeypatch.setattr(installed, "version_of", lambda asked: version if asked == name else real(asked))
    (finding,) = [finding for finding in installed.packages(place) if finding.level is not Level.OK]
    assert (finding.level, "pip install" in finding.fix) == (level, True)
    assert text in finding.text


def test_a_gpu_that_is_asked_for_and_missing_is_a_problem(place, monkeypatch):
    monkeypatch.setattr(installed, "gpus", lambda: 0)
    asked = with_params(place, training={**TINY["training"], "accelerator": "gpu"})
    assert only(installed.torch, asked).level is Level.PROBLEM


@pytest.mark.parametrize(
    ("free", "level"), [(10**12, Level.OK), (500 << 20, "warning"), (1 << 20, "problem")]
)
def test_a_full_disk_is_said(place, monkeypatch, free, level):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    assert {finding.level for finding in machine.disk(place)} == {level}


def test_more_workers_than_cores_or_memory_are_warned_of(place, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 1 << 30)
    asked = with_params(place, runtime={"workers": 4096})
    assert only(machine.cores, asked).level is Level.WARNING
    assert only(machine.memory, asked).level is Level.WARNING
    assert "4096" in only(machine.cores, asked).text


# -- project


def test_wrong_parameters_are_a_problem_of_every_check_that_needs_them(place):
    wrong = with_params(place, evolution={"popluation": 3})
    (finding,) = found(project.parameters, wrong)
    assert finding.level is Level.PROBLEM
    assert "did you mean 'population'" in finding.fix
    sections = dict(checks.examine(wrong, (("Storage", (storage.storage,)), ("Machine", (machine.cores,)))))
    assert [finding.level for finding in sections["Storage"] + sections["Machine"]] == [Level.PROBLEM] * 2


def test_no_git_no_dvc_no_remote(place):
    assert only(project.git, place).fix == "git init"
    assert only(project.dvc, place).level is Level.WARNING
    assert found(project.remote, place) == []


def test_the_remote_is_asked(copied, finished):
    at = Folder(copied.root, finished.environment)
    assert only(project.remote, copied).text.startswith("none")
    at.run("dvc", "remote", "add", "-d", "copy", str(copied.root.parent / "copy"))
    assert only(project.remote, copied).text == f"copy: {copied.root.parent / 'copy'}, nothing pushed yet"
    (copied.root.parent / "copy").mkdir()
    assert "copy, lacks prepare@main, baselines@main" in only(project.remote, copied).text
    at.run("dvc", "push", "-q")
    assert only(project.remote, copied) == ok("DVC remote", f"copy: {copied.root.parent / 'copy'}")
    at.run("dvc", "remote", "modify", "copy", "url", f"http://user:{SECRET}@127.0.0.1:9/x")
    finding = only(project.remote, copied)
    assert finding.level is Level.PROBLEM
    assert SECRET not in finding.text


def test_what_git_lacks_is_named(copied):
    finding = only(project.git, copied)
    assert finding.level is Level.WARNING
    assert "dvc.lock" in finding.text
    assert only(project.dvc, copied).level is Level.OK
    (copied.root / "dvc.yaml").write_text("stages: {}")
    assert only(project.dvc, copied).level is Level.PROBLEM


# -- storage


def test_a_folder_is_written_read_and_left_as_it_was(place):
    assert only(storage.storage, place).level is Level.OK
    left = [path for path in (place.root / ".star").rglob("*") if path.is_file()]
    assert left == []


def test_a_bucket_is_written_read_and_left_as_it_was(place, tmp_path, monkeypatch):
    with ObjectStore(tmp_path / "s3") as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        asked = with_params(place, runtime={"storage": f"{s3.url}/runs", "endpoint": s3.endpoint})
        finding = only(storage.storage, asked)
        assert (finding.level, "leases held" in finding.text) == (Level.OK, True), finding
        listed = s3.client().list_objects_v2(Bucket=s3.bucket).get("Contents", [])
        assert [entry["Key"] for entry in listed if "lease" not in entry["Key"]] == []
        monkeypatch.setattr(trial.Bucket, "has_conditions", lambda *_: False)
        assert only(storage.storage, asked).level is Level.WARNING
    gone = only(storage.storage, asked)
    assert gone.level is Level.PROBLEM
    assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in gone.text + gone.fix


def test_storage_that_cannot_be_written_or_locked_is_a_problem(place, monkeypatch):
    (place.root / "file").write_text("in the way")
    assert only(storage.storage, with_params(place, runtime={"storage": "file"})).level is Level.PROBLEM
    credentials = with_params(place, runtime={"storage": f"s3://me:{SECRET}@bucket/x"})
    finding = only(storage.storage, credentials)
    assert finding.level is Level.PROBLEM
    assert SECRET not in finding.text + finding.fix
    both = SimpleNamespace(take=lambda _: nullcontext())  # a file system without locks
    monkeypatch.setattr(trial, "Leases", lambda *_, **__: both)
    assert "taken twice" in only(storage.storage, with_params(place)).text


# -- server


def test_the_embedded_server_is_fine_and_a_dead_one_is_not(place, environment):
    with temporary_settings({PREFECT_API_URL: None}):
        assert only(server.server, place).text.startswith("embedded")
    with temporary_settings({PREFECT_API_URL: f"http://me:{SECRET}@127.0.0.1:9/api"}):
        finding = only(server.server, place)
        assert (finding.level, SECRET in finding.text) == (Level.PROBLEM, False)
        assert found(server.deployments, place) == []
    with temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}):
        assert "version 3.8" in only(server.server, place).text
        assert only(server.deployments, place) == ok("schedule", "none (star deploy makes one)")


def test_a_server_that_wants_a_password_says_so(place):
    with answering(401) as port, temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
        finding = only(server.server, place)
        assert (finding.level, "asks for a password" in finding.text) == (Level.PROBLEM, True)
        assert found(server.deployments, place) == []


def test_a_schedule_without_runs_or_anybody_to_run_them_is_said():
    times = SimpleNamespace(schedule=CronSchedule(cron="0 2 * * *", timezone="UTC"), active=True)
    made: dict[str, Any] = {"id": uuid4(), "name": "x", "parameters": {"run": "main"}, "schedules": [times]}
    made |= {"paused": False, "work_pool_name": None, "status": SimpleNamespace(value="NOT_READY")}
    coming = [SimpleNamespace(expected_start_time=datetime(2030, 1, 1, tzinfo=UTC))]

    def row(scheduled: list[Any], workers: list[Any] = (), **changes: Any) -> Finding:
        talk = SimpleNamespace(
            read_flow_runs=lambda **_: scheduled, read_workers_for_work_pool=lambda _: workers
        )
        return server._deployment(talk, SimpleNamespace(**{**made, **changes}))

    nothing = row([])
    assert (nothing.level, "sqlalchemy>=2.0,<2.1" in nothing.fix) == (Level.PROBLEM, True)
    assert (row(coming).level, "nothing serves it" in row(coming).text) == (Level.WARNING, True)
    assert row(coming, status=SimpleNamespace(value="READY")).text.endswith(", served")
    assert "no worker of pool 'p' is up" in row(coming, work_pool_name="p").text
    up = [SimpleNamespace(status=WorkerStatus.ONLINE)]
    assert row(coming, up, work_pool_name="p").level is Level.OK
    assert row([], schedules=[]).text.endswith("runs when asked")


# -- cluster


def test_a_cluster_that_does_not_answer_is_a_problem(place):
    assert only(cluster.cluster, place).text.startswith("local")
    asked = with_params(place, runtime={"runner": "dask", "address": "tcp://127.0.0.1:9"})
    assert only(cluster.cluster, asked).level is Level.PROBLEM


# -- runs


def test_a_finished_run_is_fine(copied):
    (finding,) = found(runs.runs, copied)
    assert (finding.level, finding.text.split(",")[0]) == (Level.OK, "generation 2")


def test_what_a_run_lacks_is_said_with_what_to_do(copied):
    (copied.root / "data/populations/main/gen_002.json").rename(copied.root / "aside")
    (finding,) = found(runs.runs, copied)
    assert finding.level is Level.WARNING
    assert "2 of 3 generations of the ledger are here yet" in finding.text
    assert "star evolve main --generations 2 makes them, dvc pull" in finding.fix
    (copied.root / "aside").rename(copied.root / "data/populations/main/gen_002.json")
    (copied.root / "dvc.lock").unlink()
    shutil.rmtree(copied.root / "data/tokens/main")
    uncommitted, corpus = found(runs.runs, copied)
    assert "not in DVC: baselines@main, founders@main, generation@main-001 and 1 more" in uncommitted.text
    assert uncommitted.fix == "star resume main --generations 2"
    assert "dvc pull prepare@main" in corpus.fix


def test_who_works_on_a_run_is_said(copied):
    code = (
        "import sys; from star_flows.run.locks import exclusive; from star_flows.run.paths import RunPaths\n"
        "with exclusive(RunPaths(sys.argv[1], 'main')): print('held', flush=True); input()"
    )
    held = subprocess.Popen(
        [sys.executable, "-c", code, str(copied.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert held.stdout is not None
        held.stdout.readline()
        assert f"process {held.pid} is working on it" in found(runs.runs, copied)[0].text
    finally:
        held.communicate(b"\n")
    assert "working" not in found(runs.runs, copied)[0].text


# -- the whole


def test_a_check_that_fails_or_hangs_is_a_row_and_no_more(place):
    def broken(_: Project) -> Iterator[Finding]:
        yield ok("before", "it broke")
        raise ValueError(f"http://me:{SECRET}@host")

    def endless(_: Project) -> Iterator[Finding]:
        time.sleep(60)
        yield ok("never", "")

    def fine(_: Project) -> Iterator[Finding]:
        yield warning("fine", "after all", "mend it")

    (section, rows) = next(checks.examine(place, (("All", (broken, endless, fine)),), seconds=0.3))
    assert section == "All"
    assert [(row.level, row.subject) for row in rows] == [
        ("ok", "before"),
        ("problem", "broken"),
        ("problem", "endless"),
        ("warning", "fine"),
    ]
    assert SECRET not in rows[1].text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_rows_fit_the_terminal_and_say_what_to_do(width):
    output = io.StringIO()
    rows = [ok("short", "fine"), problem("credentials", "word " * 40, "chmod 600 /a/long/path" * 8)]
    Console(file=output, width=width).print(table("All", rows), crop=False)
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    if width > 40:  # there, what was found stands below
        starts = (line[: SUBJECT_WIDTH + 3].strip() for line in lines[1:])
        assert all(start in ("", "✓  short", "✗  credentials") for start in starts)
    assert "→ chmod 600" in output.getvalue()


def test_urls_lose_their_users():
    assert shown_url(f"at http://me:{SECRET}@host:1/api?x=1") == "at http://host:1/api?x=1"


def test_the_command_says_it_all_and_ends_with_1_if_something_does_not_work(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "project", symlinks=True)
    home = tmp_path / "home"
    secret_file(home / ".aws/credentials", f"[default]\naws_secret_access_key = {SECRET}\n", 0o644)
    there = {**finished.environment, "HOME": str(home), "AWS_SECRET_ACCESS_KEY": SECRET, "COLUMNS": "100"}
    said = Folder(tmp_path / "project", there).run("star", "doctor")
    for section, _ in checks.CHECKS:
        assert f"{section}\n" in said
    assert "→ chmod 600" in said
    assert "0 problems" in said
    broken = {**there, "PREFECT_API_URL": f"http://me:{SECRET}@127.0.0.1:9/api"}
    worse = Folder(tmp_path / "project", broken).run("star", "doctor", code=1)
    assert "http://127.0.0.1:9/api does not answer" in worse
    assert SECRET not in said + worse


def test_a_healthy_project_ends_normally(copied, monkeypatch, capsys):
    monkeypatch.setattr("star_flows.doctor.command.examine", lambda _: iter([("All", [ok("a", "b")])]))
    output = doctor_command(copied.root, None, "params.yaml")
    print_parts(output.parts)
    assert output.code == 0
    assert "1 ok, 0 warnings, 0 problems" in capsys.readouterr().out
