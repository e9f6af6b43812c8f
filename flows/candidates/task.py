"""One candidate trained, as a Prefect task: in a process of this machine, or of a cluster's.

On this machine jobs and evaluations pass as they are. To a cluster's worker they go as JSON text.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from prefect import State
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture
from prefect.states import Crashed

from star_core.config import Runtime
from star_core.errors import StarError, StoreError
from star_core.evaluation import Evaluation, Job
from star_core.storage.failures import redact
from star_core.training.processes.wire import decode_job, encode_job

from ..clusters.engine import Cluster
from ..run.session import Session
from ..run.trainer import Trained
from ..run.uncached_task import uncached_task
from ..server.outages import dispensable, is_outage
from .cluster_worker import kind_of_machine, train_here
from .runner import occupying

Future = PrefectFuture[Any]


class WorkerLost(Exception):  # noqa: N818
    """The worker that trained a candidate died."""


@uncached_task("train", "train {name}")
def train(session: Session, name: str, job: Job) -> Trained | None:
    """Trains a candidate in a process of its own; ``None``: it is in training elsewhere."""
    with occupying(session.params.runtime):
        return session.trainer.train(job, lambda _pid: session.display.started(name))


@uncached_task("train", "train {name}")
def train_on_cluster(name: str, runtime: str, machine: str, job: str) -> str:
    """The same on whatever machine this runs: it needs the package, the storage and nothing else.

    Args:
        name: Of the candidate.
        runtime: Limits, storage and patience, as JSON.
        machine: Of which kind the run's machines are, as JSON.
        job: What to train, as JSON.

    Returns:
        JSON: the evaluation and whether it was stored already; ``null``: it is in training elsewhere.
    """
    limits = Runtime.model_validate_json(runtime)
    with occupying(limits):
        trained = train_here(decode_job(json.loads(job)), limits, json.loads(machine))
    return json.dumps(asdict(trained) if trained else None)


# The same for a candidate that is measured and not trained.
probe = train.with_options(name="probe", task_run_name="probe {name}")
probe_on_cluster = train_on_cluster.with_options(name="probe", task_run_name="probe {name}")


def submit(session: Session, name: str, job: Job) -> Future:
    """Hands a candidate to the flow's runner."""
    cluster = session.cluster
    if cluster is None:
        return (train if job.probe is None else probe).submit(session, name, job)
    session.display.started(name)
    there = train_on_cluster if job.probe is None else probe_on_cluster
    machine = json.dumps(kind_of_machine(job.training))
    with cluster.submitting():
        runtime = session.trainer.runtime.model_dump_json()
        return there.submit(name, runtime, machine, json.dumps(encode_job(job)))


def outcome(session: Session, name: str, job: Job, future: Future) -> Trained | None:
    """What became of a candidate; ``None``: it is in training elsewhere.

    Raises:
        WorkerLost: Its worker died; nothing is known of the candidate.
        StarError: The job is wrong, the storage stays away, or the cluster failed.
    """
    cluster = session.cluster
    if cluster is None:
        trained: Trained | None = future.result()
        return trained
    answer = json.loads(_answer(cluster, name, future))
    if answer is None:
        return None
    trained = Trained(Evaluation(**answer["evaluation"]), answer["cached"])
    if session.params.runtime.address is not None:
        _bring_home(session, job, trained.evaluation)
    return trained


def _answer(cluster: Cluster, name: str, future: Future) -> str:
    """What a worker of the cluster returned."""
    try:
        return str(future.result())
    except StarError:
        raise
    except Exception as error:
        if is_outage(error):
            raise
        if isinstance(error, cluster.lost):
            _crashed(future, type(error).__name__)
            raise WorkerLost(type(error).__name__) from error
        reason = " ".join(redact(f"{type(error).__name__}: {error}").split())
        raise StarError(
            f"the cluster failed ({reason[:300]})",
            value=name,
            place="training on the cluster",
            fix="see that it runs, with the same versions on all machines, then run the same command again; "
            "what was trained is kept",
        ) from error


def _crashed(future: Future, reason: str) -> None:
    """Ends the task run of a worker that died: Prefect would show it as running for ever."""
    state: State[str] = Crashed(message=f"the worker died ({reason})")
    with dispensable(), suppress(ObjectNotFound), get_client(sync_client=True) as client:
        client.set_task_run_state(future.task_run_id, state, force=True)


def _bring_home(session: Session, job: Job, evaluation: Evaluation) -> None:
    """Keeps here what a worker of another machine may have kept there only.

    Raises:
        StoreError: The weights cannot be had.
    """
    if session.store.find(job.key, job.digest) is None:
        session.store.put(evaluation)  # the storage is a folder that the machines do not share
    if job.checkpoint is not None and evaluation.status == "ok" and session.trainer.stored(job) is None:
        raise StoreError(
            "the weights stayed on the machine that trained them",
            place=job.checkpoint,
            fix="let the machines share the project's folder, or set runtime.storage to an s3:// URL",
        )
