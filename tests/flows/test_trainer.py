"""Training with a shared store on a real S3 server: nothing is lost while it is away, or trained twice."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from star_flows.run.trainer import Trainer

from star_core.config import Runtime
from star_core.storage.evaluations import EvaluationStore
from star_core.training import CandidatePool, NotStored
from tests.object_store import ObjectStore
from tests.training import faults
from tests.training.jobs import small_data, small_job


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ObjectStore(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def s3(server, monkeypatch):
    for name, value in server.environment.items():
        if name != "AWS_ENDPOINT_URL":  # the job says where
            monkeypatch.setenv(name, value)
    server.start()
    return server


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def job(s3, data, tmp_path):
    """A candidate that succeeds at once, of a store that no other test uses."""
    job = small_job(data, f"{s3.url}/{tmp_path.name}")
    return replace(job, endpoint=s3.endpoint, genome="succeed", data=str(tmp_path / "note"))


@pytest.fixture
def make(job):
    """Trainers as on machines that share the storage, with candidates that need no torch."""
    made = []

    def trainer(note=lambda _: None):
        runtime = Runtime(storage=job.storage, endpoint=job.endpoint, patience_seconds=60, lease_seconds=5)
        opened = Trainer(runtime, workers=1, threads=1, note=note)
        preload = ["tests.training.faults", "star_core.storage.s3"]
        opened._pool = CandidatePool(1, 60, 512, preload=preload, target=faults.act)
        made.append(opened)
        return opened

    yield trainer
    for opened in made:
        opened.close()


def test_a_candidate_is_stored_where_its_job_says(make, job):
    trained = make().train(job)
    assert not trained.cached
    assert EvaluationStore(job.storage, job.endpoint).get(job.key) == trained.evaluation
    stored = make().train(replace(job, key="0" * 64, genome="die_after_storing")).evaluation
    assert stored.status == "ok"
    again = make().train(replace(job, genome="refuse"))
    assert again.cached
    assert again.evaluation == trained.evaluation


def test_of_machines_that_want_one_candidate_one_trains_it(make, job):
    slow = replace(job, genome="wait_for_file")
    first, second = make(), make()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(first.train, slow)
        wait_until(lambda: Path(job.data + ".began").exists())
        assert second.train(slow) is None
        assert second.is_busy(slow)
        Path(job.data).write_text("go on")
        assert not running.result().cached
    assert not second.is_busy(slow)
    assert second.train(slow).cached


def test_an_evaluation_that_is_none_is_trained_again(make, job):
    notes = []
    trainer = make(notes.append)
    first = trainer.train(job).evaluation
    for damaged in (replace(first, digest="0" * 64), replace(first, status="none")):
        trainer.store.put(damaged)
        again = trainer.train(job)
        assert not again.cached
        assert trainer.train(job).evaluation == again.evaluation
    assert len(notes) == 2
    assert all("kept as" in note for note in notes)


def test_a_server_that_is_away_while_a_candidate_trains_costs_no_training(make, job, s3):
    notes, slow = [], replace(job, genome="wait_for_file")

    def start(text):
        notes.append(text)
        if "waiting up to" in text:
            s3.start()

    trainer = make(start)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(trainer.train, slow)
        wait_until(lambda: Path(job.data + ".began").exists())
        s3.kill()
        Path(job.data).write_text("go on")
        trained = running.result()
    assert Path(job.data + ".began").read_text() == "x"
    assert notes[-1] == "the storage is back"
    assert trainer.store.get(job.key) == trained.evaluation
    assert not trainer.is_busy(job)


def test_a_candidate_that_cannot_look_for_its_evaluation_trains(make, job, s3):
    s3.kill()
    with pytest.raises(NotStored, match="cannot be written") as caught:
        make().pool.run(job)
    assert caught.value.evaluation.metrics["validation_loss"] == 1.5
    with pytest.raises(NotStored) as caught:
        make().pool.run(replace(job, genome="exit_early"))
    assert caught.value.evaluation.status == "crashed"


def test_a_killed_candidate_is_begun_again_and_that_is_said(make, job):
    notes, slow = [], replace(job, genome="wait_for_file")

    def kill_the_first(pid):
        if not notes:
            os.kill(pid, signal.SIGKILL)
            Path(job.data).write_text("go on")

    assert make(notes.append).train(slow, kill_the_first).evaluation.status == "ok"
    assert notes == ["wait_for_file: its process was killed; it is begun again"]


def test_no_credentials_are_in_what_is_stored_or_handed_on(make, job, s3):
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"]
    trained = make().train(job)
    assert secret not in repr(trained.evaluation)
    client = s3.client()
    for entry in client.list_objects_v2(Bucket=s3.bucket)["Contents"]:
        stored = client.get_object(Bucket=s3.bucket, Key=entry["Key"])["Body"].read()
        assert secret.encode() not in stored
        assert json.loads(stored)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
