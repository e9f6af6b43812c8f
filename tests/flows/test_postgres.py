"""A Prefect server on PostgreSQL: a run against it, and what its sudden end costs."""

from __future__ import annotations

import os
import signal
from urllib.parse import urlsplit

import pytest
from star_flows.server.process import prefect_server

from tests.flows.prefect_api import Api
from tests.flows.processes import children, command, is_alive, wait_until
from tests.flows.projects import Project, environment_for
from tests.postgres import Postgres, programs

SECONDS = 90


@pytest.fixture
def database():
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with Postgres() as server:
        yield server


def server_process(url: str) -> int:
    """The Prefect server of this process that listens there."""
    port = f"--port {urlsplit(url).port}"
    return next(pid for pid in children(os.getpid()) if port in command(pid))


def test_a_server_that_is_killed_loses_nothing(finished, database, tmp_path):
    at_home = environment_for(tmp_path)
    quick = {"PREFECT_CLIENT_MAX_RETRIES": "1"}
    backed = {**at_home, "PREFECT_API_DATABASE_CONNECTION_URL": database.url}
    with prefect_server(backed) as found:
        project = Project.create(tmp_path / "project", {**at_home, **quick, **_url(found)})
        process = project.start("star", "evolve")
        assert wait_until(project.generations, SECONDS), "no generation was made"
        os.kill(server_process(found["PREFECT_API_URL"]), signal.SIGKILL)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, output
    *_, last = output.strip().splitlines()
    assert last.startswith(f"star: Prefect: '{found['PREFECT_API_URL']}': the Prefect server cannot be used")
    assert last.endswith("what was finished is kept. Fix: start it again and run the same command")
    assert "Traceback" not in output
    before, evaluations = project.generations(), project.evaluations()
    assert before
    assert len(before) < len(finished.generations())

    with prefect_server(backed) as found:
        project.environment = {**at_home, **quick, **_url(found)}
        said = project.run("star", "doctor")
        assert found["PREFECT_API_URL"] in said.replace("\n", "")
        project.run("star", "evolve")
        assert project.generations() == finished.generations()
        assert evaluations.items() <= project.evaluations().items(), "a finished candidate was trained again"
        api = Api(found["PREFECT_API_URL"])
        states = {(run["name"], run["state"]["name"]) for run in api.flow_runs()}
        # What was running when the server died is ended, what was done in either server's time is there.
        assert {name for name, state in states if state == "Running"} == set()
        assert {("evolve main", "Crashed"), ("evolve main", "Completed")} <= states
        assert {"main-population", "main-front", "main-progress"} <= api.artifacts().keys()
        server = server_process(found["PREFECT_API_URL"])
        assert database.password not in command(server) + said
    assert not is_alive(server)


def _url(found: dict[str, str]) -> dict[str, str]:
    return {"PREFECT_API_URL": found["PREFECT_API_URL"]}
