"""Where a run is worked on, when it stops and what comes after it: no part of a run's identity."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from star_core.config.section import Section


class Retrain(Section):
    """What happens to the best after the search.

    Attributes:
        top: Individuals of the front that are trained longer.
        steps: Optimiser steps they and the baselines get.
    """

    top: int = Field(default=3, ge=1)
    steps: int = Field(default=300, ge=1)


class Runtime(Section):
    """How it runs: no part of a run's identity, since a training within its limits does not depend on it.

    Attributes:
        runner: Where candidates are trained: ``local`` (warm processes of this machine), or the workers of a
            ``ray`` or ``dask`` cluster.
        address: Of the cluster's head (``ray://host:10001``, ``tcp://host:8786``); ``null``: a cluster of
            this machine's cores, started for the run.
        workers: Candidates trained at once; ``null``: one per core (or per GPU).
        concurrency_limit: Name of a Prefect concurrency limit of which each training takes a slot, where
            several runs or machines share devices; ``null``: none.
        deadline_seconds: A candidate that takes longer is killed and counts as timed out.
        memory_mib: A candidate that allocates more counts as out of memory.
        storage: Folder or fsspec URL of the evaluation store.
        endpoint: URL of the S3 server; ``null``: the environment's (``AWS_ENDPOINT_URL``), else Amazon's.
        patience_seconds: How long a run waits for storage that is full or away before it stops.
        lease_seconds: A candidate in training elsewhere is taken over if its lease is not renewed so long.
    """

    runner: Literal["local", "ray", "dask"] = "local"
    address: str | None = None
    workers: int | None = Field(default=None, ge=1)
    concurrency_limit: str | None = None
    deadline_seconds: float = Field(default=300, gt=0)
    memory_mib: int = Field(default=1536, ge=128)
    storage: str = ".star/evaluations"
    endpoint: str | None = None
    patience_seconds: float = Field(default=60, ge=0)
    lease_seconds: float = Field(default=60, ge=1)

    @property
    def on_cluster(self) -> bool:
        """Whether candidates may be trained on other machines."""
        return self.runner != "local"


class Budget(Section):
    """When a run stops before its last generation; ``null``: never. No part of a run's identity.

    What is begun is finished: a budget is kept within one candidate, and a later call goes on.

    Attributes:
        tokens: Trained in the whole run, what is stored included.
        seconds: Wall time of one call of the command.
    """

    tokens: int | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, ge=0)
