"""Every way a candidate can end, each with a real process; and that nothing is lost or left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from star_core.config import Training
from star_core.errors import DataError, StarError
from star_core.machine import default_workers
from star_core.storage.evaluations import EvaluationStore
from star_core.training import CandidatePool, NotStored, PoolClosed
from star_core.training.fit import train
from star_core.training.processes import pool as worker
from tests.training import faults
from tests.training.jobs import small_job


@pytest.fixture(scope="module")
def pool():
    """Trains for real: torch is loaded once, in the fork server."""
    with CandidatePool(2, 120, 1024, target=faults.act) as entered:
        entered.warm_up()
        yield entered


@pytest.fixture(scope="module")
def light():
    """For faults that need no torch."""
    with CandidatePool(2, 60, 256, preload=["tests.training.faults"], target=faults.act) as entered:
        yield entered


@pytest.fixture
def job(data, tmp_path):
    return small_job(data, tmp_path / "store")


@pytest.fixture
def fault(job, tmp_path):
    """A job that makes the candidate do wrong; ``data`` is a file it may write to."""

    def make(action):
        return replace(job, genome=action.__name__, data=str(tmp_path / "note"))

    return make


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def stored(job):
    return EvaluationStore(job.storage).get(job.key)


def test_result_is_bit_equal_to_training_here_and_is_stored(pool, job):
    evaluation = pool.run(job)
    assert evaluation.status == "ok"
    assert evaluation.metrics == train(job).metrics
    assert stored(job) == evaluation


def test_result_is_bit_equal_in_parallel_processes(pool, data, tmp_path):
    jobs = [small_job(data, tmp_path / name) for name in "abc"]
    with ThreadPoolExecutor(3) as threads:
        evaluations = list(threads.map(pool.run, jobs))
    assert len({str(evaluation.metrics) for evaluation in evaluations}) == 1


def test_second_run_trains_nothing(light, job, fault):
    first = fault(faults.succeed)
    evaluation = light.run(first)
    assert light.run(replace(first, genome="refuse")) == evaluation


def test_checkpoint_that_is_missing_is_trained_again(pool, job, tmp_path):
    pool.run(job)
    path = tmp_path / "w.safetensors"
    evaluation = pool.run(replace(job, checkpoint=str(path)))
    assert evaluation.status == "ok"
    assert path.exists()


def test_failed_training_is_an_outcome_not_an_exception(pool, data, tmp_path):
    job = small_job(data, tmp_path, steps=12, learning_rate=1e30, warmup_steps=0)
    evaluation = pool.run(job)
    assert evaluation.status == "diverged"
    assert stored(job) == evaluation


@pytest.mark.parametrize(
    ("action", "status", "detail"),
    [
        (faults.raise_error, "crashed", "ValueError: something odd"),
        (faults.call_exit, "crashed", "SystemExit: bye"),
        (faults.exit_early, "crashed", "exited with code 3 and no result"),
        (faults.diverge, "diverged", "the loss is not finite at step 3"),
        (faults.allocate_bytes, "out_of_memory", "more than 256 MiB (runtime.memory_mib): MemoryError:"),
        (faults.return_nan, "crashed", "ValueError: Out of range float values are not JSON compliant"),
        (faults.return_nonsense, "crashed", "ValueError: no evaluation: a finished evaluation has"),
        (faults.allocate_a_little, "ok", ""),
        (faults.print_noise, "ok", ""),
    ],
)
def test_outcomes(light, fault, action, status, detail):
    job = fault(action)
    evaluation = light.run(job)
    assert evaluation.status == status
    assert evaluation.detail.startswith(detail)
    assert bool(evaluation.detail) == bool(detail)
    assert stored(job) == evaluation
    assert (evaluation.key, evaluation.genome) == (job.key, job.genome)


def test_torch_out_of_memory(pool, fault):
    evaluation = pool.run(fault(faults.allocate_tensors))
    assert evaluation.status == "out_of_memory"
    assert "allocate" in evaluation.detail


def test_process_is_prepared_as_it_should_be(light, fault):
    job = fault(faults.report_process)
    light.run(job)
    text = Path(job.data).read_text()
    assert f"{signal.SIG_IGN} ['1', '1']" in text
    assert "pytest" not in text


def test_hanging_candidate_is_killed_with_its_children(fault):
    with CandidatePool(1, 1.0, 256, preload=["tests.training.faults"], target=faults.act) as quick:
        for action in (faults.hang, faults.ignore_signals_and_spin):
            job, pids = fault(action), []
            began = time.monotonic()
            evaluation = quick.run(replace(job, key=f"{len(action.__name__):064x}"), pids.append)
            assert evaluation.status == "timed_out"
            assert evaluation.detail == "killed after 1 s (runtime.deadline_seconds)"
            assert 1 <= evaluation.seconds["total"] < time.monotonic() - began
            assert len(pids) == 1
            assert not alive(pids[0])
        helper = int(Path(job.data).read_text())
        wait_until(lambda: not alive(helper))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_candidate_is_begun_again_with_the_same_result(pool, data, tmp_path, number):
    job = small_job(data, tmp_path / "a", steps=100)
    pids = []

    def kill_the_first(pid):
        pids.append(pid)
        if len(pids) == 1:
            threading.Timer(0.1, os.kill, (pid, number)).start()

    evaluation = pool.run(job, kill_the_first)
    assert len(pids) == 2
    assert evaluation.metrics == train(job).metrics


def test_candidate_that_is_always_killed_counts_as_crashed(light, fault):
    job = fault(faults.count_and_die)
    evaluation = light.run(job)
    assert (evaluation.status, evaluation.detail) == ("crashed", "killed by SIGKILL, 3 times in a row")
    assert Path(job.data).read_text() == "xxx"
    assert stored(job) == evaluation


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


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_result_is_stored_before_it_is_reported(light, fault):
    job = fault(faults.die_after_storing)
    evaluation = light.run(job)
    assert evaluation.status == "ok"
    assert evaluation.metrics["validation_loss"] == 2.5
    assert stored(job) == evaluation


def test_result_that_the_child_cannot_store_is_stored_by_its_owner(light, fault):
    job = fault(faults.cannot_write)
    evaluation = light.run(job)
    assert evaluation.metrics["validation_loss"] == 3.5
    assert stored(job) == evaluation


def test_result_that_cannot_be_stored_at_all_comes_with_the_error(light, fault):
    job = fault(faults.remove_store)
    with pytest.raises(NotStored, match="cannot be written") as caught:
        light.run(job)
    assert caught.value.evaluation.metrics["validation_loss"] == 4.5


def test_user_errors_are_raised_not_recorded(light, pool, job, fault):
    with pytest.raises(DataError) as caught:
        light.run(fault(faults.wrong_data))
    assert str(caught.value) == "here: 7: no such text. Fix: look there"
    with pytest.raises(DataError, match="another digest"):
        pool.run(replace(job, data_digest="0" * 64))
    assert stored(job) is None


def test_device_that_goes_away_is_no_failure_of_the_candidate(light, fault):
    job = fault(faults.lose_device)
    with pytest.raises(StarError, match="went away: CUDA error: no CUDA-capable device is detected CUDA ker"):
        light.run(job)
    assert stored(job) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_device_that_is_not_there_is_not_replaced_by_another(light, fault):
    job = fault(faults.succeed)
    elsewhere = replace(job, training=job.training.model_copy(update={"accelerator": "gpu"}))
    with pytest.raises(StarError, match=r"the gpu .* is not there or went away: torch finds none"):
        light.run(elsewhere)
    assert stored(elsewhere) is None


def test_target_that_cannot_be_loaded_is_a_user_error(job):
    with (
        CandidatePool(1, 60, 256, preload=["no.such.module"], target="no.such:train") as broken,
        pytest.raises(StarError, match=r"cannot load no\.such:train"),
    ):
        broken.run(job)


def test_server_that_cannot_start_is_an_error_not_a_crashed_candidate(job, monkeypatch, capfd):
    monkeypatch.setattr("star_core.training.processes.forkserver._START", "raise SystemExit('no')")
    with (
        CandidatePool(1, 60, 256, preload=[], target=faults.act) as broken,
        pytest.raises(StarError, match="cannot be started"),
    ):
        broken.run(job)
    assert stored(job) is None
    assert "no" in capfd.readouterr().err


def test_at_most_so_many_at_once(fault):
    with CandidatePool(2, 2.0, 256, preload=["tests.training.faults"], target=faults.act) as two:
        running, most = set(), []

        def run(index):
            def began(pid):
                running.add(index)
                most.append(len(running))

            two.run(replace(fault(faults.ignore_signals_and_spin), key=f"{index:064x}"), began)
            running.discard(index)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(run, range(4)))
        assert len(most) == 4
        assert max(most) <= 2


def test_closed_pool_refuses(job):
    pool = CandidatePool(1, 60, 256, preload=[], target=faults.act)
    pool.close()
    with pytest.raises(PoolClosed):
        pool.run(job)
    with pytest.raises(PoolClosed):
        pool.warm_up()


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


def test_default_workers_follow_the_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert default_workers("cpu", 1) == 8
    assert default_workers("cpu", 3) == 2
    assert default_workers("cpu", 64) == 1


def test_every_place_gets_its_gpu(monkeypatch):
    from star_core import machine

    monkeypatch.setattr(machine, "machine_fingerprint", lambda _: {"device": "gpu"})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    recipe = Training()
    assert default_workers(recipe.accelerator, recipe.threads) == 2
    assert [machine.device_of(slot, recipe.accelerator) for slot in range(3)] == ["4", "6", "4"]
    monkeypatch.setattr(machine, "machine_fingerprint", lambda _: {"device": "cpu"})
    assert machine.device_of(0, recipe.accelerator) is None
