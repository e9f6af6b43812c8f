"""One candidate trained, as a Prefect task: in a process of this machine, or of a cluster's."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture
from prefect.states import Crashed

from star_core.config import Runtime
from star_core.errors import StarError, StoreError
from star_core.evaluation import Evaluation, Job
from star_core.storage.failures import redact
from star_core.training.processes.wire import decode_job, encode_job

from ..run.display import display
from ..run.paths import Where
from ..run.session import Session, session
from ..run.trainer import Trained
from ..server.outages import dispensable, is_outage
from .cluster_worker import kind_of_machine, train_here
from .runner import occupying


class WorkerLost(Exception):  # noqa: N818
    """The worker that trained a candidate died."""


@task(name="train", task_run_name="train {name}", cache_policy=NO_CACHE, persist_result=False)
def train(where: Where, name: str, job: str) -> str:
    """Trains a candidate in a process of its own; returns what ``_encode`` says."""
    work = session(where)
    with occupying(work.params.runtime):
        return _encode(work.trainer.train(decode_job(json.loads(job)), lambda _pid: display.started(name)))


probe = train.with_options(name="probe", task_run_name="probe {name}")
"""The same for a candidate that is measured and not trained."""


@task(name="train", task_run_name="train {name}", cache_policy=NO_CACHE, persist_result=False)
def train_on_cluster(name: str, runtime: str, machine: str, job: str) -> str:
    """The same on whatever machine this runs: it needs the package, the storage and nothing else."""
    limits = Runtime.model_validate_json(runtime)
    with occupying(limits):
        return _encode(train_here(decode_job(json.loads(job)), limits, json.loads(machine)))


probe_on_cluster = train_on_cluster.with_options(name="probe", task_run_name="probe {name}")
"""The same for a candidate that is measured and not trained."""


def submit(work: Session, name: str, job: Job) -> PrefectFuture[str]:
    """Hands a candidate to the flow's runner."""
    text, cluster = json.dumps(encode_job(job)), work.cluster
    if cluster is None:
        return (train if job.probe is None else probe).submit(work.where, name, text)
    machine = json.dumps(kind_of_machine(job.training))
    display.started(name)
    with cluster.submitting():
        there = train_on_cluster if job.probe is None else probe_on_cluster
        return there.submit(name, work.trainer.runtime.model_dump_json(), machine, text)


def outcome(work: Session, name: str, job: Job, future: PrefectFuture[str]) -> Trained | None:
    """What became of a candidate; ``None``: it is in training elsewhere.

    Raises:
        WorkerLost: Its worker died; nothing is known of the candidate.
        StarError: The job is wrong, the storage stays away, or the cluster failed.
    """
    cluster = work.cluster
    try:
        answer = json.loads(future.result())
    except StarError:
        raise
    except Exception as error:
        if cluster is None or is_outage(error):
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
    if answer is None:
        return None
    trained = Trained(Evaluation(**answer["evaluation"]), answer["cached"])
    if cluster is not None and work.params.runtime.address is not None:
        _bring_home(work, job, trained.evaluation)
    return trained


def _crashed(future: PrefectFuture[str], reason: str) -> None:
    """Says so of the task run, which nobody is left to do; it would stand as running for ever."""
    state: State[str] = Crashed(message=f"the worker died ({reason})")
    with dispensable(), suppress(ObjectNotFound), get_client(sync_client=True) as client:
        client.set_task_run_state(future.task_run_id, state, force=True)


def _encode(trained: Trained | None) -> str:
    """JSON: the evaluation and whether it was stored already; ``null``: it is in training elsewhere."""
    return json.dumps(asdict(trained) if trained else None)


def _bring_home(work: Session, job: Job, evaluation: Evaluation) -> None:
    """Keeps here what a worker of another machine may have kept there only.

    Raises:
        StoreError: The weights cannot be had.
    """
    if work.store.find(job.key, job.digest) is None:
        work.store.put(evaluation)  # the storage is a folder that the machines do not share
    if job.checkpoint is not None and evaluation.status == "ok" and work.trainer.stored(job) is None:
        raise StoreError(
            "the weights stayed on the machine that trained them",
            place=job.checkpoint,
            fix="let the machines share the project's folder, or set runtime.storage to an s3:// URL",
        )
