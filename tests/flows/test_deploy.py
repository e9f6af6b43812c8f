"""`star deploy` for real: schedules, served runs, workers, and what a kill leaves of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.names import NameOrEmpty
from pydantic import TypeAdapter
from star_flows.doctor.finding import Project as Patient
from star_flows.doctor.server import deployments
from star_flows.run.locks import exclusive
from star_flows.run.paths import RunPaths
from star_flows.schedule import time_zone
from star_flows.schedule.command import _checked, deploy_command
from star_flows.schedule.cron import schedule
from star_flows.schedule.time_zone import local_zone, named_zone

from star_core.errors import ConfigError, StarError
from tests.flows.prefect_api import Api
from tests.flows.processes import descendants, is_alive, wait_until
from tests.flows.projects import ROOT, Project
from tests.strategies import folder_names

RARELY = "0 3 1 1 *"
SECONDS = 90


@contextmanager
def served(project: Project, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`star deploy` in the background, once it serves; ended by SIGTERM, as a service manager does."""
    process = project.start("star", "deploy", "--cron", RARELY, *options)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("  api"):
                break
        else:
            raise AssertionError(f"star deploy ended with {process.wait()}")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=SECONDS)


@contextmanager
def using(api: Api | None) -> Iterator[None]:
    """This process as one whose environment names a server, or none."""
    with temporary_settings({PREFECT_API_URL: api.url if api else None}):
        yield


@pytest.fixture
def api(environment):
    return Api(environment["PREFECT_API_URL"])


@pytest.fixture
def quick(environment):
    """The environment of runners and workers that look for work more often than every ten seconds."""
    return {**environment, "PREFECT_RUNNER_POLL_FREQUENCY": "1", "PREFECT_WORKER_QUERY_SECONDS": "1"}


def test_a_served_run_is_never_started_twice_and_survives_a_kill(finished, quick, api, tmp_path):
    project = Project.create(tmp_path / "served", quick)
    with served(project) as process:
        deployment = api.get("/deployments/name/continue/served-main")
        assert deployment["schedules"][0]["schedule"] == {
            "cron": RARELY,
            "timezone": local_zone(),
            "day_or": True,
        }
        key = deployment["id"]
        assert wait_until(lambda: api.flow_runs(key, any_=["SCHEDULED"]), SECONDS), "no run was scheduled"
        assert deployment["parameters"] == {
            "root": str(project.folder),
            "run": "main",
            "params": "params.yaml",
            "generations": 2,
        }
        with using(api):
            (schedule,) = deployments(Patient(project.folder, "params.yaml"))
        assert f"continue/served-main, run main, {RARELY} ({local_zone()}): next " in schedule.text
        both = {api.post(f"/deployments/{key}/create_flow_run", name=name)["id"] for name in ("one", "two")}
        assert wait_until(lambda: api.flow_runs(key, any_=["COMPLETED"]), SECONDS), "none was refused"
        (skipped,) = api.flow_runs(key, any_=["COMPLETED"])
        assert (skipped["id"] in both, skipped["state"]["name"]) == (True, "Skipped")
        owner = int((project.folder / ".star/locks/main.lock").read_text())
        assert skipped["state"]["message"].startswith(f"process {owner} is working on this run")
        assert wait_until(project.evaluations, SECONDS)
        below = [owner, *descendants(owner)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert wait_until(lambda: not any(map(is_alive, below)), 20), "training went on without its server"
    seen = project.evaluations()
    assert 0 < len(seen) < len(finished.evaluations())
    assert [run["state"]["name"] for run in api.flow_runs(key, any_=["RUNNING"])] == ["Running"]
    with served(project):
        made = api.post(f"/deployments/{key}/create_flow_run")["id"]
        done = wait_until(lambda: api.get(f"/flow_runs/{made}")["state_type"] == "COMPLETED", SECONDS)
        state = api.get(f"/flow_runs/{made}")["state"]
        assert done, state
        assert state["message"] == "run main goes to generation 2"
        crashed = api.flow_runs(key, any_=["CRASHED"])
        assert [run["state"]["message"] for run in crashed] == [
            "its process was killed; what it had finished is kept"
        ]
        assert not api.get(f"/deployments/{key}")["paused"]
    assert api.get(f"/deployments/{key}")["paused"]
    with using(api):
        (schedule,) = deployments(Patient(project.folder, "params.yaml"))
    assert schedule.text.endswith("paused, since nothing serves it")
    assert project.generations() == finished.generations()
    assert seen.items() <= project.evaluations().items(), "a finished candidate was trained again"


def test_a_worker_goes_on_with_a_run(finished, quick, api, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "pooled", symlinks=True)
    project = Project(tmp_path / "pooled", quick)
    before = project.generations()
    said = project.run("star", "deploy", "--cron", RARELY, "--pool", "nights", "--generations", "1")
    assert "prefect worker start --pool nights" in said
    assert api.get("/work_pools/nights")["type"] == "process"
    key = api.get("/deployments/name/continue/pooled-main")["id"]
    made = api.post(f"/deployments/{key}/create_flow_run")["id"]
    project.run("prefect", "worker", "start", "--pool", "nights", "--run-once")
    assert api.get(f"/flow_runs/{made}")["state"]["message"] == "run main goes to generation 3"
    assert set(project.generations()) - set(before) == {"gen_003.json"}


@pytest.mark.parametrize(
    ("run", "generations", "message"),
    [
        ("main", 0, "generations: 0: at least one. Fix: use 1 or more"),
        ("gone", 1, "the ledger has generations up to 2, here is none"),
        ("other", 1, "params.yaml: cannot be read (No such file or directory)"),
    ],
)
def test_a_users_error_is_a_failed_run_with_one_line(
    run, generations, message, finished, api, tmp_path, monkeypatch
):
    from star_flows.schedule.flow import continue_run

    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished.folder, tmp_path / "wrong", symlinks=True)
    ledger = tmp_path / "wrong/data/ledger.yaml"
    content = yaml.safe_load(ledger.read_text())
    content["ledger"]["runs"]["gone"] = {**content["ledger"]["runs"]["main"]}
    ledger.write_text(yaml.safe_dump(content))
    (tmp_path / "wrong/params.yaml").unlink()
    with using(api):
        state = continue_run(str(tmp_path / "wrong"), run, generations=generations, return_state=True)
    assert state.is_failed()
    assert message in state.message
    assert "\n" not in state.message


def test_prefect_deploy_registers_the_same(quick, api, tmp_path):
    folder = tmp_path / "declared"
    project = Project.create(folder, {**quick, "PWD": str(folder)})  # as a shell that went there says
    shutil.copy(ROOT / "prefect.yaml", project.folder)
    project.run("prefect", "work-pool", "create", "--type", "process", "star")
    project.run("prefect", "--no-prompt", "deploy", "--all")
    found = api.get("/deployments/name/continue/nightly")
    assert found["parameters"] == {
        "root": str(project.folder),
        "run": "main",
        "params": "params.yaml",
        "generations": 2,
    }
    assert (found["entrypoint"], found["work_pool_name"]) == ("star_flows.schedule.flow.continue_run", "star")
    assert found["schedules"][0]["schedule"]["cron"] == "0 2 * * *"


def test_once_says_how_it_went_by_its_exit_code(finished, api, capfd, monkeypatch, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "once", symlinks=True)
    monkeypatch.chdir(tmp_path / "once")
    paths = RunPaths(str(tmp_path / "once"), "main")
    with using(api), exclusive(paths):  # this very process is at work on it
        deploy_command(paths, None, None, 1, None, None, once=True)
    assert f"process {os.getpid()} is working on this run" in capfd.readouterr().out
    (tmp_path / "once/data/tokens/main/train.bin").write_bytes(b"x")
    with using(api), pytest.raises(SystemExit) as ended:
        deploy_command(paths, None, None, 1, None, None, once=True)
    assert ended.value.code == 1
    assert "train.bin" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("cron", "zone", "message"),
    [
        ("0 25 * * *", "UTC", "--cron: '0 25 * * *': not a cron expression"),
        ("0 2 * *", "UTC", "has five fields"),
        ("* * * * * *", "UTC", "has five fields"),
        ("0 0 31 2 *", "UTC", "never comes"),
        (
            "0 2 * * *",
            "Europe/Berln",
            "--timezone: 'Europe/Berln': no such time zone. Fix: did you mean",
        ),
        ("0 2 * * *", "../etc/passwd", "no such time zone"),
    ],
)
def test_a_wrong_schedule_is_refused(cron, zone, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        schedule(cron, zone)


def test_a_schedule_knows_when_it_is_next():
    found = schedule("30 2 * * *", "Asia/Tokyo")
    assert [(time.hour, time.minute, time.utcoffset().total_seconds()) for time in found.next] == [
        (2, 30, 9 * 3600)
    ] * 2
    assert (found.next[1] - found.next[0]).total_seconds() == 24 * 3600


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("utc", "UTC"),
        ("Z", "UTC"),
        ("europe/berlin", "Europe/Berlin"),
        (" America/New York ", "America/New_York"),
        ("+02:00", "Etc/GMT-2"),
        ("UTC+2", "Etc/GMT-2"),
        ("gmt-03", "Etc/GMT+3"),
        ("\u22123", "Etc/GMT+3"),
    ],
)
def test_a_time_zone_may_be_written_in_many_ways(written, zone):
    found = schedule("30 2 * * *", written)
    assert found.timezone == zone
    if "GMT" in zone:
        hours = found.next[0].utcoffset().total_seconds() / 3600
        assert hours == (2 if "2" in written else -3)


@pytest.mark.parametrize(
    ("written", "fix"),
    [
        ("Berlin", "did you mean 'Europe/Berlin'?"),
        ("PST", "e.g. Europe/Berlin"),
        ("+05:30", "name one by its place"),
        ("UTC+15", "name one by its place"),
        ("", "e.g. Europe/Berlin"),
    ],
)
def test_a_time_zone_that_is_none_is_refused(written, fix):
    with pytest.raises(ConfigError) as refused:
        named_zone(written)
    assert refused.value.place == "--timezone"
    assert fix in refused.value.fix


ZONES = Path(next(folder for folder in TZPATH if Path(folder, "Europe/Lisbon").exists()))


@pytest.mark.parametrize(
    ("told", "zone"),
    [
        ("Europe/Lisbon", "Europe/Lisbon"),
        (":Europe/Lisbon", "Europe/Lisbon"),
        ("posix/Europe/Lisbon", "Europe/Lisbon"),
        (f":{ZONES}/Europe/Lisbon", "Europe/Lisbon"),
        ("", "UTC"),
        ("UTC0", "Etc/GMT+0"),
        ("JST-9", "Etc/GMT-9"),
        ("<-03>3", "Etc/GMT+3"),
    ],
)
def test_the_time_zone_is_this_machines(told, zone, monkeypatch):
    monkeypatch.setenv("TZ", told)
    assert local_zone() == zone


def test_a_rule_is_the_zone_that_goes_by_it(monkeypatch):
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    summer = datetime(2030, 7, 1, tzinfo=ZoneInfo(local_zone()))
    assert (summer.utcoffset(), summer.replace(month=1).utcoffset()) == (
        timedelta(hours=-4),
        timedelta(hours=-5),
    )


def test_a_time_zone_that_cannot_be_told_is_not_taken_for_another(monkeypatch, tmp_path):
    monkeypatch.setenv("TZ", "nonsense")
    with pytest.raises(ConfigError, match=r"TZ: 'nonsense': no such time zone. Fix: give --timezone"):
        local_zone()
    monkeypatch.delenv("TZ")
    monkeypatch.setattr(time_zone, "LOCALTIME", tmp_path / "localtime")
    assert local_zone() == "UTC"
    shutil.copy(ZONES / "Asia/Tokyo", tmp_path / "localtime")  # no link: the name is lost
    tokyo = datetime(2030, 7, 1, tzinfo=ZoneInfo(local_zone()))
    assert tokyo.utcoffset() == timedelta(hours=9)
    (tmp_path / "localtime").write_bytes(b"TZif by nobody")
    with pytest.raises(ConfigError, match=r"has no name. Fix: give --timezone"):
        local_zone()


@given(folder=folder_names, run=st.sampled_from(["main", "a_b"]))
def test_a_deployment_of_any_folder_has_a_name_that_prefect_takes(folder, run):
    name = _checked(None, RunPaths(f"/projects/{folder}", run))
    assert _checked(name, RunPaths("/", run)) == name
    assert TypeAdapter(NameOrEmpty).validate_python(name) == name
    assert name.endswith(f"-{run}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "by a schedule, or once now"),
        ({"cron": RARELY, "once": True}, "by a schedule, or once now"),
        ({"cron": RARELY, "name": "a/b"}, "--name: 'a/b': a deployment's name has no"),
        ({"cron": RARELY, "run": "../x"}, "a run's name is"),
        ({"cron": RARELY, "params": "nowhere.yaml"}, "nowhere.yaml: cannot be read"),
        ({"cron": RARELY, "api": "http://127.0.0.1:9/api"}, "PREFECT_API_URL: 'http://127.0.0.1:9/api'"),
        ({"cron": RARELY, "pool": "p", "api": None}, "workers need a Prefect server that stays"),
    ],
)
def test_nothing_is_started_for_a_wrong_order(options, message, finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    monkeypatch.setattr("star_flows.schedule.command.answers", lambda *_, **__: False)
    monkeypatch.setattr(
        "star_flows.schedule.command.prefect_server", lambda *_: pytest.fail("a server was started")
    )
    paths = RunPaths(str(finished.folder), options.get("run", "main"), options.get("params", "params.yaml"))
    name, pool, once = options.get("name"), options.get("pool"), options.get("once", False)
    with (
        using(Api(options["api"]) if options.get("api") else None),
        pytest.raises(StarError, match=re.escape(message)),
    ):
        deploy_command(paths, options.get("cron"), "UTC", 2, name, pool, once)


def test_a_name_belongs_to_one_run(finished, api, tmp_path, monkeypatch):
    def deploy(folder: str) -> None:
        if not (tmp_path / folder).exists():
            shutil.copytree(finished.folder, tmp_path / folder, symlinks=True)
        monkeypatch.chdir(tmp_path / folder)
        with using(api):
            deploy_command(
                RunPaths(str(tmp_path / folder), "main"), RARELY, "UTC", 2, "shared", "nights", False
            )

    deploy("a")
    with pytest.raises(
        ConfigError, match=r"--name: 'shared': this is the deployment of run 'main' of \S+a\."
    ):
        deploy("b")
    deploy("a")
    found = api.get("/deployments/name/continue/shared")
    assert found["parameters"]["root"] == str(tmp_path / "a")
    assert len(found["schedules"]) == 1


def test_prefect_yaml_states_no_path_of_a_machine():
    text = Path(ROOT, "prefect.yaml").read_text()
    assert "{{ $PWD }}" in text
    assert os.fspath(ROOT) not in text
