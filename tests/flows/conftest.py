from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from filelock import FileLock
from star_flows.server.process import prefect_server

from tests.flows.projects import Project, environment_for


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands, with a Prefect server that all tests of this folder share."""
    with prefect_server(environment_for(tmp_path_factory.mktemp("home"))) as found:
        yield found


@pytest.fixture(scope="session")
def finished(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose run went through undisturbed. Tests must not change it.

    It is made once for all workers of a test session, by the first that asks, with that worker's server.
    """
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    place = tmp_path_factory.getbasetemp().parent if session else tmp_path_factory.mktemp("finished")
    folder, made = place / "finished" / "project", place / "finished-is-made"
    with FileLock(place / "finished.lock"):
        if not made.exists():
            Project.create(folder, environment).run("star", "evolve")
            made.touch()
    return Project(folder, environment)
