"""Who may work on a run."""

import os
import signal
import subprocess
import sys

import pytest
from star_flows.doctor.runs import worker
from star_flows.run.locks import Busy, exclusive, lock_file
from star_flows.run.paths import RunPaths

from star_core.errors import StoreError

HOLDER = """
import os, sys, time
from star_flows.run.locks import exclusive
from star_flows.run.paths import RunPaths
with exclusive(RunPaths(sys.argv[1], "main")):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(600)
"""


def test_a_run_is_its_processs_own_until_that_ends_and_no_child_keeps_it(tmp_path):
    where = RunPaths(str(tmp_path), "main")
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        child = int(other.stdout.readline())
        try:
            assert worker(where) == str(other.pid)
            with pytest.raises(Busy, match=f"process {other.pid} is working on this run"), exclusive(where):
                pass
            other.send_signal(signal.SIGKILL)
            other.wait()
            with exclusive(where):
                assert worker(where) == str(os.getpid())
        finally:
            other.kill()
            os.kill(child, signal.SIGKILL)
    assert worker(where) is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        lock_file(tmp_path / "file" / "main.lock")
