"""Commands that are ended from outside: Ctrl-C, and a kill; with a Prefect server of their own."""

from __future__ import annotations

import os
import signal

import pytest
from star_flows.server.outages import explaining

from star_core.errors import StarError
from tests.flows.processes import children, command, descendants, fork_servers, is_alive, wait_until
from tests.flows.projects import TINY, Project

ENDLESS = {**TINY["training"], "steps": 10**6}


@pytest.fixture(autouse=True)
def interrupts():
    """What runs in the background of a shell ignores Ctrl-C, and so do its children unless this is undone."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def project(environment, tmp_path):
    """A project whose first candidates train for hours."""
    alone = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
    runtime = {"workers": 2, "patience_seconds": 1}
    return Project.create(tmp_path / "project", alone, training=ENDLESS, runtime=runtime)


def in_training(project):
    """A command with two candidates in training; all processes below it."""
    process = project.start("star", "evolve")

    def trains():
        return [child for server in fork_servers(process.pid) for child in children(server)]

    begun = wait_until(lambda: len(trains()) == 2 or process.poll() is not None, 120)
    if not begun or process.poll() is not None:
        process.kill()
        pytest.fail(process.communicate()[0])
    return process, descendants(process.pid)


def test_ctrl_c_ends_a_command_at_once_and_a_kill_leaves_no_process(project):
    process, everything = in_training(project)
    try:
        assert any("server start" in command(pid) for pid in everything)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert output.splitlines()[-1] == "star: interrupted; the same command goes on from here"
    assert len(output.splitlines()) == 4, output  # corpus, training, baselines
    assert wait_until(lambda: not any(map(is_alive, everything)), 20)
    assert not project.evaluations()
    assert not list(project.folder.glob("data/**/.*.tmp"))
    assert not list(project.folder.glob(".star/evaluations/leases/*"))

    process, everything = in_training(project)
    process.kill()
    output, _ = process.communicate()
    assert wait_until(lambda: not any(map(is_alive, everything)), 20), "something outlived the command"
    assert "killed before the end" not in output  # the first one was not killed, and is known to have ended


def test_a_server_that_ctrl_c_ended_as_well_is_not_the_message():
    def report():
        raise RuntimeError("Failed to reach API at http://127.0.0.1:1/api/")

    def interrupted():
        try:
            raise KeyboardInterrupt
        finally:
            report()

    with pytest.raises(StarError, match="the Prefect server cannot be used"), explaining():
        report()
    with pytest.raises(KeyboardInterrupt), explaining():
        interrupted()
