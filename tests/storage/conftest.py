"""S3 servers for the tests of storage: one for all, and one that may be killed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.faulty_proxy import FaultyProxy
from tests.object_store import ObjectStore


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server that all tests share."""
    with ObjectStore(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture(scope="session")
def mortal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A server that tests kill and start."""
    with ObjectStore(tmp_path_factory.mktemp("mortal")) as store:
        yield store


@pytest.fixture
def s3(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The shared server, with this process's environment giving access to it."""
    return _with_access(server, monkeypatch)


@pytest.fixture
def mortal(mortal_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The other server, running when the test begins."""
    mortal_server.start()
    return _with_access(mortal_server, monkeypatch)


def _with_access(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture(scope="session")
def shared_proxy(server: ObjectStore) -> Iterator[FaultyProxy]:
    """A proxy before the shared server: one, so that clients are made once."""
    with FaultyProxy(server.endpoint) as faulty:
        yield faulty


@pytest.fixture
def proxy(s3: ObjectStore, shared_proxy: FaultyProxy) -> FaultyProxy:
    """The proxy, which does nothing yet."""
    shared_proxy.reset()
    return shared_proxy


@pytest.fixture
def prefix(s3: ObjectStore) -> str:
    """A place in the shared bucket that no other test uses."""
    return f"{s3.url}/{uuid4().hex}"


@pytest.fixture(params=["folder", "memory", "s3"])
def location(request: pytest.FixtureRequest) -> str:
    """An empty storage of each kind."""
    if request.param == "s3":
        found: str = request.getfixturevalue("prefix")
        return found
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    return str(request.getfixturevalue("tmp_path") / "store")
