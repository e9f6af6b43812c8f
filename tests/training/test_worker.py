"""Every way a candidate can end, each with a real process; and that nothing is lost or left behind."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from star_core.errors import DataError, StarError
from star_core.training import CandidatePool, NotStored, PoolClosed
from star_core.training.fit import train
from tests.training import faults
from tests.training.jobs import small_job
from tests.training.processes import alive, stored, wait_until


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
