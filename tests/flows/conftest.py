from __future__ import annotations

from collections.abc import Iterator

import pytest
from star_flows.server.process import prefect_server

from tests.flows.projects import Project, environment_for


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of commands, with a Prefect server that all tests of this folder share."""
    with prefect_server(environment_for(tmp_path_factory.mktemp("home"))) as found:
        yield found


@pytest.fixture(scope="session")
def finished(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose run went through undisturbed. Tests must not change it."""
    project = Project.create(tmp_path_factory.mktemp("finished") / "project", environment)
    project.run("star", "evolve")
    return project
