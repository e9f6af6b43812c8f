"""The fork server of candidates: killed, standing still, never starting, and its owner killed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from star_core.errors import StarError
from star_core.training import CandidatePool, PoolClosed
from star_core.training.processes import pool as worker
from tests.training import faults
from tests.training.processes import alive, parent_of, stored, wait_until


def test_killed_fork_server_is_replaced(fault):
    """The candidate it takes along is begun again under a new server; a closed pool begins nothing."""
    own = CandidatePool(1, 60, 256, preload=["tests.training.faults"], target=faults.act)
    with own, ThreadPoolExecutor(1) as threads:
        pids = []
        run = threads.submit(own.run, fault(faults.ignore_signals_and_spin), pids.append)
        wait_until(lambda: pids)
        first = parent_of(pids[0])
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(pids) == 2)
        wait_until(lambda: not alive(pids[0]))
        assert parent_of(pids[1]) != first
        own.close()
        with pytest.raises(PoolClosed):
            run.result()
        wait_until(lambda: not alive(pids[1]))


def test_fork_server_that_stands_still_is_replaced(fault, monkeypatch):
    """Whether it is to begin a candidate or to see a killed one gone."""
    monkeypatch.setattr(worker, "SERVER_SECONDS", 4.0)
    servers, pids = [], []

    def note(pid):
        pids.append(pid)
        servers.append(parent_of(pid))

    def stop_the_server(pid):
        note(pid)
        os.kill(servers[-1], signal.SIGSTOP)

    jobs = [
        replace(fault(action), key=f"{index:064x}")
        for index, action in enumerate((faults.succeed, faults.succeed, faults.hang, faults.succeed))
    ]
    with CandidatePool(1, 1.0, 256, preload=["tests.training.faults"], target=faults.act) as own:
        assert own.run(jobs[0], note).status == "ok"
        os.kill(servers[0], signal.SIGSTOP)
        assert own.run(jobs[1], note).status == "ok"
        assert own.run(jobs[2], stop_the_server).status == "timed_out"
        helper = int(Path(jobs[2].data).read_text())
        wait_until(lambda: not alive(helper))
        assert own.run(jobs[3], note).status == "ok"
        assert servers[0] != servers[1] == servers[2] != servers[3]
        assert not any(alive(pid) for pid in (*servers[:3], *pids))


def test_machine_on_which_no_candidate_begins_is_an_error_that_says_so(job, monkeypatch):
    monkeypatch.setattr("star_core.training.processes.forkserver._START", "import time; time.sleep(600)")
    monkeypatch.setattr(worker, "SERVER_SECONDS", 0.2)
    with (
        CandidatePool(1, 60, 256, preload=[], target=faults.act) as broken,
        pytest.raises(StarError, match=r"no candidate process began within 0\.2 s, 3 times in a row"),
    ):
        broken.run(job)
    assert stored(job) is None


def test_server_that_cannot_start_is_an_error_not_a_crashed_candidate(job, monkeypatch, capfd):
    monkeypatch.setattr("star_core.training.processes.forkserver._START", "raise SystemExit('no')")
    with (
        CandidatePool(1, 60, 256, preload=[], target=faults.act) as broken,
        pytest.raises(StarError, match="cannot be started"),
    ):
        broken.run(job)
    assert stored(job) is None
    assert "no" in capfd.readouterr().err


OWNER = """
import os, signal, sys, threading
# Whoever began the tests with nohup has it ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from dataclasses import replace
from star_core.training import CandidatePool
from star_core.training.processes.wire import decode_job
import json
assert "torch" not in sys.modules
pool = CandidatePool(2, 600, 512, preload=["tests.training.faults"], target="tests.training.faults:act")
jobs = [decode_job(job) for job in json.loads(sys.argv[1])]
for job in jobs:
    # In one piece: two threads may say theirs at once.
    threading.Thread(target=pool.run, args=(job, lambda pid: os.write(1, f"{pid}\\n".encode()))).start()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_a_killed_owner(fault, number):
    import json

    from star_core.training.processes.wire import encode_job

    jobs = [
        encode_job(replace(fault(action), key=f"{index:064x}"))
        for index, action in enumerate((faults.hang, faults.ignore_signals_and_spin))
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, json.dumps(jobs)], env=environment, stdout=subprocess.PIPE, text=True
    ) as owner:
        try:
            pids = [int(owner.stdout.readline()) for _ in jobs]
            pids.append(parent_of(pids[0]))
            note = Path(jobs[0]["data"])
            wait_until(lambda: note.exists() and note.read_text())
            pids.append(int(note.read_text()))
            assert all(alive(pid) for pid in pids)
            owner.send_signal(number)
            owner.wait(10)
            for pid in pids:
                wait_until(lambda pid=pid: not alive(pid))
        finally:
            owner.kill()


def test_interrupted_run_ends_its_candidate(fault):
    def stop(pid):
        pids.append(pid)
        raise KeyboardInterrupt

    pids = []
    with CandidatePool(1, 60, 256, preload=["tests.training.faults"], target=faults.act) as own:
        with pytest.raises(KeyboardInterrupt):
            own.run(fault(faults.hang), stop)
        wait_until(lambda: not alive(pids[0]))
