"""What `star doctor` says of credentials that others can read and of servers that others can use."""

from __future__ import annotations

import socket

import pytest
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_HOST,
    temporary_settings,
)
from star_flows.doctor import listening, security
from star_flows.doctor.finding import Level

from tests.flows.checkups import SECRET, answering, empty_project, found, only, secret_file


@pytest.fixture
def place(tmp_path):
    return empty_project(tmp_path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o640, "warning"), (0o604, "warning")])
@pytest.mark.parametrize("name", [".aws/credentials", "elsewhere"])
def test_credentials_that_others_can_read_are_warned_of(place, home, monkeypatch, name, mode, level):
    path = secret_file(home / name, f"[default]\naws_secret_access_key = {SECRET}\n", mode)
    if name == "elsewhere":
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    finding = only(security.credentials, place)
    assert finding.level == level
    assert str(path) in finding.text
    assert SECRET not in finding.text + finding.fix
    assert finding.fix == ("" if level == "ok" else f"chmod 600 {path}")


def test_secrets_of_dvc_belong_into_its_local_file(place, home):
    content = f"['remote \"store\"']\n    url = s3://bucket\n    secret_access_key = {SECRET}\n"
    secret_file(place.root / ".dvc/config.local", content, 0o644)
    assert only(security.credentials, place).level is Level.WARNING
    secret_file(place.root / ".dvc/config.local", content, 0o600)
    assert only(security.credentials, place).level is Level.OK
    secret_file(place.root / ".dvc/config", content, 0o644)
    finding = next(finding for finding in found(security.credentials, place) if finding.level is not Level.OK)
    assert (finding.level, "secret_access_key of remote store" in finding.text) == (Level.PROBLEM, True)
    assert SECRET not in finding.text + finding.fix
    secret_file(place.root / ".dvc/config", "['remote \"store\"']\n    url = s3://bucket\n", 0o644)
    assert only(security.credentials, place).level is Level.OK


def test_listening_sockets_are_told_apart():
    with socket.socket() as everywhere, socket.socket() as here, socket.socket(socket.AF_INET6) as six:
        everywhere.bind(("0.0.0.0", 0))
        here.bind(("127.0.0.1", 0))
        six.bind(("::1", 0))
        for sock in (everywhere, here, six):
            sock.listen()
        public = listening.public_ports()
        assert everywhere.getsockname()[1] in public
        assert not {here.getsockname()[1], six.getsockname()[1]} & public
    assert everywhere is not None
    assert [listening.is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "[::1]")] == [True] * 4
    assert [listening.is_loopback(host) for host in ("0.0.0.0", "10.0.0.1", "example.org")] == [False] * 3


@pytest.mark.parametrize(
    ("status", "host", "level"),
    [(200, "0.0.0.0", "warning"), (401, "0.0.0.0", "ok"), (200, "127.0.0.1", "ok")],
)
def test_a_server_that_everybody_may_use_is_warned_of(place, status, host, level):
    with (
        answering(status, host) as port,
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}),
    ):
        finding = only(security.prefect_server, place)
        assert (finding.level, finding.level == "ok" or str(port) in finding.text) == (level, True)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({PREFECT_SERVER_API_HOST: "0.0.0.0"}, "PREFECT_SERVER_API_HOST is 0.0.0.0"),
        ({PREFECT_API_URL: "http://10.1.2.3:4200/api"}, "no encryption and no password"),
        (
            {PREFECT_API_URL: "http://10.1.2.3:4200/api", PREFECT_API_AUTH_STRING: f"me:{SECRET}"},
            "crosses the network in clear",
        ),
    ],
)
def test_servers_beyond_loopback_want_a_password(place, settings, text):
    with temporary_settings(settings):
        finding = only(security.prefect_server, place)
    assert (finding.level, text in finding.text) == (Level.WARNING, True)
    assert SECRET not in finding.text + finding.fix
    guarded = {PREFECT_SERVER_API_HOST: "0.0.0.0", PREFECT_SERVER_API_AUTH_STRING: f"me:{SECRET}"}
    with temporary_settings(guarded):
        assert only(security.prefect_server, place).level is Level.OK


def test_a_cluster_that_strangers_reach_is_warned_of(place, monkeypatch):
    monkeypatch.setattr(security, "public_ports", lambda: {8265, 22})
    assert "Ray's dashboard" in only(security.cluster_ports, place).text
