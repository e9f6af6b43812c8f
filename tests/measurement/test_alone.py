"""One measurement at a time, on quiet cores."""

import os
import signal
import subprocess
import sys
import time

import pytest

from star_core.errors import StarError
from star_core.machine import cores, fingerprint
from star_core.measurement import alone
from star_core.measurement.alone import Load, one_at_a_time, pin

HOLDER = """
import sys, time
from pathlib import Path
from star_core.measurement.alone import one_at_a_time
with one_at_a_time(Path(sys.argv[1]), 60):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_measurement_waits_and_a_dead_one_holds_nothing(tmp_path):
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with pytest.raises(StarError, match=str(lock)), one_at_a_time(lock, 0.2):
                pass
        finally:
            other.send_signal(signal.SIGKILL)
    for _ in range(2):
        with one_at_a_time(lock, 5):
            pass


def test_what_holds_the_lock_is_not_changed_by_it(tmp_path):
    lock = tmp_path / "lock"
    with one_at_a_time(lock):
        inside = lock.stat().st_mode & 0o777
    assert inside & 0o044, "others can at least read it"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with pytest.raises(StarError, match="lock"), one_at_a_time(link):
        pass
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(cores()) < 2, reason="needs two cores")
def test_a_process_is_bound_to_the_quietest_cores(monkeypatch):
    allowed = cores()
    quiet = allowed[0]
    busy = iter([dict.fromkeys(allowed, 0.0), {core: float(core != quiet) for core in allowed}])
    monkeypatch.setattr(alone, "_busy_seconds", lambda: next(busy))
    try:
        assert pin(1) == (quiet,) == cores()
    finally:
        os.sched_setaffinity(0, allowed)
    assert pin(len(allowed)) == allowed
    assert pin(len(allowed) + 3) == allowed


def test_of_cores_that_are_equally_quiet_the_last_are_taken(monkeypatch):
    monkeypatch.setattr(alone, "cores", lambda: (0, 1, 2, 3))
    monkeypatch.setattr(alone, "_busy_seconds", lambda: {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0})
    chosen = []
    monkeypatch.setattr(alone.os, "sched_setaffinity", lambda _, some: chosen.append(some), raising=False)
    assert pin(2) == (2, 3)
    assert chosen == [(2, 3)]


def test_what_others_did_is_what_the_machine_did_and_this_process_did_not(monkeypatch):
    moments = iter([Load(10.0, 1.0, 100.0), Load(16.0, 3.0, 102.0)])
    monkeypatch.setattr(Load, "now", classmethod(lambda _: next(moments)))
    assert Load.now().of_others() == 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_load_of_this_process_is_not_that_of_others():
    before = Load.now()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    after = Load.now()
    assert after.own - before.own >= 0.3
    assert after.machine - before.machine >= 0.2, "the machine's time holds this process's"


def test_a_machine_without_such_figures_is_called_quiet(monkeypatch):
    monkeypatch.setattr(alone, "_busy_seconds", dict)
    assert Load.now().of_others() == 0


def test_the_fingerprint_names_the_machine():
    found = fingerprint("cpu", 3)
    assert set(found) - {"vendor"} == {
        "torch",
        "device",
        "instruction_set",
        "processor",
        "cores",
        "threads",
        "gpu",
    }
    assert (found["device"], found["threads"], found["gpu"]) == ("cpu", "3", "")
    assert found["processor"]
    assert int(found["cores"]) == len(cores())
    assert fingerprint("cpu", 3) == found != fingerprint("cpu", 2)
    assert fingerprint("gpu")["gpu"]
