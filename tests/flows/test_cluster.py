"""The same run on clusters: on Ray, whose worker is killed in the middle of a training, and on Dask."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from star_flows.candidates.cluster_worker import kind_of_machine, own_trainer, train_here
from star_flows.clusters import open as clusters
from star_flows.clusters.engine import Watch
from star_flows.clusters.open import require_reachable
from star_flows.run.trainer import Trainer
from star_flows.server.process import server_at_hand

from star_core.config import Runtime
from star_core.datasets.transfer import publish
from star_core.errors import ConfigError, StarError
from star_core.storage.weights import checkpoint_key
from tests.flows.prefect_api import Api
from tests.flows.processes import (
    children,
    command,
    descendants,
    fork_servers,
    is_alive,
    stop_candidate,
    wait_until,
)
from tests.flows.projects import Project
from tests.object_store import ObjectStore
from tests.training.jobs import small_data, small_job

SCRATCH = re.compile(r"/tmp/star-(?:ray|dask)-[^/]+")


def scratch_of(pid):
    """The folders of its cluster: other runs of this machine have theirs beside them."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if match := SCRATCH.match(os.readlink(descriptor)):
                found.add(Path(match[0]))
    return found


def started(project, *options):
    """A run that has begun to train on its cluster; its process, and all processes below it."""
    process = project.start("star", "evolve", *options)
    begun = wait_until(lambda: len(project.evaluations()) >= 3 or process.poll() is not None, 150)
    if not begun or process.poll() is not None:
        process.kill()
        pytest.fail(process.communicate()[0])
    return process, descendants(process.pid)


def crashed(environment):
    """Trainings that the Prefect server knows to have crashed."""
    wanted = {"name": {"like_": "train "}, "state": {"type": {"any_": ["CRASHED"]}}}
    found = Api(environment["PREFECT_API_URL"]).post("/task_runs/filter", task_runs=wanted)
    return {task_run["id"] for task_run in found}


def test_on_ray_a_killed_worker_costs_one_candidate_and_changes_nothing(finished, environment, tmp_path):
    known = crashed(environment)
    runtime = {"runner": "ray", "workers": 1, "patience_seconds": 1}
    project = Project.create(tmp_path / "project", environment, runtime=runtime)
    process, everything = started(project)
    try:
        [folder] = scratch_of(process.pid)
        [server] = fork_servers(process.pid)
        candidate = stop_candidate(server, 60)
        [worker] = [pid for pid in everything if server in children(pid)]
        assert command(worker).startswith("ray::")
        seen = project.evaluations()
        os.kill(worker, signal.SIGKILL)
        # Nobody of those who worked for it is left, though the candidate cannot even run.
        assert wait_until(lambda: not any(map(is_alive, (worker, server, candidate))), 20)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, output
    assert "the worker that trained it died (WorkerCrashedError)" in output
    assert len(crashed(environment) - known) == 1
    assert "Traceback" not in output
    assert project.generations() == finished.generations()
    assert set(project.evaluations()) == set(finished.evaluations())
    assert seen.items() <= project.evaluations().items(), "a finished candidate was trained again"
    assert wait_until(lambda: not any(map(is_alive, everything)), 20), "the cluster outlived the run"
    assert not folder.exists()


def test_on_dask_without_a_prefect_server_all_share_one(finished, environment, tmp_path):
    alone = {name: value for name, value in environment.items() if name != "PREFECT_API_URL"}
    runtime = {"runner": "dask", "workers": 2, "patience_seconds": 1}
    project = Project.create(tmp_path / "project", alone, runtime=runtime)
    process, everything = started(project, "--generations", "1")
    try:
        [folder] = scratch_of(process.pid)
        commands, trainers = [command(pid) for pid in everything], fork_servers(process.pid)
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, output
    assert "Traceback" not in output
    servers = Counter(
        word for line in commands for word in ("prefect server start", "create_app") if word in line
    )
    assert servers == {"prefect server start": 1}, "the flow's and no embedded one"
    assert len(trainers) == 2, "one for each worker"
    assert list(project.generations()) == ["gen_000.json", "gen_001.json"]
    assert project.generations().items() <= finished.generations().items()
    assert set(project.evaluations()) < set(finished.evaluations())
    assert wait_until(lambda: not any(map(is_alive, everything)), 20), "the cluster outlived the run"
    assert not folder.exists()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ObjectStore(tmp_path_factory.mktemp("s3")) as store:
        yield store


def test_a_worker_that_shares_no_folder_trains_by_way_of_the_storage(server, tmp_path, monkeypatch):
    for name, value in {**server.environment, "STAR_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    data = small_data(tmp_path / "home")
    runtime = Runtime(runner="ray", address="ray://elsewhere:10001", storage=f"{server.url}/run")
    wanted = tmp_path / "home" / "front.safetensors"
    at_home = small_job(data, runtime.storage, checkpoint=str(wanted))
    elsewhere = replace(at_home, data="/no/such/folder", checkpoint="/no/such/folder/front.safetensors")
    machine = kind_of_machine(at_home.training)
    with pytest.raises(StarError, match="the corpus is not on this machine"):
        train_here(elsewhere, runtime, machine)
    publish(data, runtime)
    try:
        trained = train_here(elsewhere, runtime, machine)
        assert trained is not None
        assert not trained.cached
        assert trained.evaluation.status == "ok"
        # Once more, after the flow was killed before it heard of it.
        again = train_here(elsewhere, runtime, machine)
        assert again is not None
        assert again.cached
    finally:
        own_trainer(runtime, 1).close()
    assert Trainer(runtime, 1, 1).stored(at_home) == trained.evaluation
    assert checkpoint_key(wanted) == at_home.key
    assert [path.name for path in (tmp_path / "cache" / "checkpoints").iterdir()] == []


def test_a_machine_of_another_kind_is_refused(tmp_path):
    job = small_job(small_data(tmp_path), tmp_path / "store")
    other = {**kind_of_machine(job.training), "instruction_set": "neon"}
    with pytest.raises(ConfigError, match="the same instruction_set: this run's is neon"):
        train_here(job, Runtime(), other)
    there = small_job(small_data(tmp_path), tmp_path / "store", accelerator="mps")
    with pytest.raises(ConfigError, match="no such processor"):
        train_here(there, Runtime(), kind_of_machine(there.training))


@pytest.mark.parametrize(
    ("runner", "address", "message"),
    [
        ("ray", "ray://127.0.0.1:9", "no ray cluster answers at 127.0.0.1"),
        ("dask", "tcp://no-such-host.invalid:8786", "no dask cluster answers at no-such-host.invalid"),
        ("ray", "10.0.0.1", "an address is host and port"),
        ("dask", "tcp://host:99999", "no dask cluster answers at host"),
    ],
)
def test_an_address_that_cannot_be_reached_is_told_at_once(runner, address, message, monkeypatch):
    with pytest.raises(ConfigError, match=message) as caught:
        require_reachable(Runtime(runner=runner, address=address))
    assert "runtime.address" in str(caught.value)
    assert address in str(caught.value)
    assert caught.value.fix
    monkeypatch.setattr(clusters, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as caught:
        require_reachable(Runtime(runner=runner, address=address))
    assert caught.value.fix == f"pip install '.[{runner}]' in a clone of STAR"


def test_a_cluster_that_stays_needs_a_prefect_server_that_stays():
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigError, match="a Prefect server that they reach"),
        server_at_hand("tcp://here:1"),
    ):
        pytest.fail("no server was there")


def test_a_cluster_without_workers_is_waited_for_and_then_given_up():
    class Cluster:
        free = 1

        def slots(self):
            return self.free

    cluster, notes = Cluster(), []
    watch = Watch(cluster, 0.0, notes.append)
    watch.look()
    cluster.free = 0
    watch.look()
    cluster.free = 1
    watch.look()
    cluster.free = 0
    watch.look()
    assert len(notes) == 2
    with pytest.raises(StarError, match="no workers for 0 s"):
        watch.look()
