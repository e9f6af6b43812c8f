"""Who may work on a run."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from star_flows.commands.choice import begun, chosen, kept
from star_flows.commands.resume import fork_run
from star_flows.doctor.runs import worker
from star_flows.run.locks import Busy, exclusive, lock_file
from star_flows.run.paths import RunPaths
from star_flows.versions.ledger import NO_SOURCE, _source, remove

from star_core.errors import StoreError
from tests.strategies import AMBIGUOUS_NAMES, INTERNAL_NAMES

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


@pytest.mark.parametrize("source", [".", "..", "data", "data/tokens"])
def test_dvc_watches_no_source_that_holds_the_corpus_it_makes(tmp_path, source):
    (tmp_path / "data/tokens").mkdir(parents=True)
    (tmp_path / "run [1]").mkdir()
    assert _source(RunPaths(str(tmp_path), "main"), source) == NO_SOURCE
    assert _source(RunPaths(str(tmp_path), "main"), "run [1]") == "run [1]"


@pytest.mark.parametrize("name", INTERNAL_NAMES)
def test_a_run_of_any_name_leaves_the_ledger_to_others(tmp_path, name):
    where = RunPaths(str(tmp_path), name)
    writing = threading.Thread(target=remove, args=(where,), daemon=True)
    with exclusive(where):
        writing.start()
        writing.join(10)
        assert not writing.is_alive(), "the ledger waits for the run"


@pytest.mark.parametrize("name", AMBIGUOUS_NAMES)
def test_a_new_run_has_a_name_that_dvc_reads_as_text(tmp_path, name):
    for choose in (begun, chosen, kept):
        with pytest.raises(StoreError, match=f"'{name}'.*Fix: use 'run-{name}'"):
            choose(tmp_path, name, "params.yaml", ())
    with pytest.raises(StoreError, match=f"'{name}'.*Fix: use 'run-{name}'"):
        fork_run(tmp_path, "main", None, name, None, (), None)
    assert not list(tmp_path.iterdir())


def test_a_stored_run_keeps_the_name_it_has(tmp_path):
    (tmp_path / "data/populations/08").mkdir(parents=True)
    assert chosen(tmp_path, "08", "params.yaml", ()).run == "08"
    (tmp_path / "data/ledger.yaml").write_text(
        "ledger:\n  runs:\n    3e-4: {params: params.yaml, last: 0, newest: gen, source: kjv}\n"
    )
    assert chosen(tmp_path, "3e-4", "params.yaml", ()).run == "3e-4"
