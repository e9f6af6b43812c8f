"""What training and measuring one candidate yields: the record that the two halves exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, with_config

from star_core import semantics
from star_core.config import Model, Params, Runtime, Training, digest_json
from star_core.machine import machine_fingerprint

Status = Literal["ok", "diverged", "out_of_memory", "timed_out", "crashed"]
MAX_LOSS = 100.0
"""Nats per token beyond which a model has diverged: chance is ln V, and exp of more overflows soon."""
STATUSES: tuple[Status, ...] = get_args(Status)
Standing = Status | Literal["stopped", "infeasible"]
"""What became of a candidate: ``stopped`` is a result too, of a training that did not go to its end, and so
is ``infeasible``, of one that was not begun, since what is known without it breaks a limit."""


@dataclass(frozen=True, slots=True)
class Job:
    """One candidate to train: everything its process needs to know, as plain values.

    Attributes:
        genome: Genome text.
        space: Search-space preset that says what the genome's integers mean.
        model: Width and head size.
        training: Recipe.
        data: Folder of the prepared tokens.
        data_digest: Digest the data must have.
        digest: Digest the compiled architecture must have.
        key: Key of the evaluation in the store.
        storage: Folder or URL of the evaluation store.
        checkpoint: Where to write the trained weights (safetensors); ``None``: nowhere.
        endpoint: URL of the S3 server, if the storage has one of its own.
        stop: Step at which to stop and measure, before the recipe's last; ``None``: train all of it.
        states: Folder where the state of a training that stops early is kept; ``None``: nowhere.
        resume: Key of the evaluation that was made where this training goes on; without its state
            the training begins anew, to the same result.
        probe: ``module:function`` that measures the candidate instead of training it; ``None``: none does.
        settings: What the probe's result depends on besides architecture and machine, as JSON values.
    """

    genome: str
    space: str
    model: Model
    training: Training
    data: str
    data_digest: str
    digest: str
    key: str
    storage: str
    checkpoint: str | None = None
    endpoint: str | None = None
    stop: int | None = None
    states: str | None = None
    resume: str | None = None
    probe: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens the candidate has been trained on when it is measured."""
        return self.training.tokens_until(self.stop)


@with_config(extra="forbid", strict=True, allow_inf_nan=False)
@dataclass(frozen=True, slots=True)
class Evaluation:
    """The outcome of one candidate.

    Attributes:
        key: See ``evaluation_key``.
        digest: Of the architecture.
        genome: Text of the genome it was first trained from.
        status: ``ok`` or how it failed.
        metrics: ``validation_loss`` (nats per token), ``train_loss`` (mean of the last tenth of the
            steps); empty unless ``ok``.
        detail: One line for people: why it failed.
        tokens: Tokens trained on.
        flops: Training FLOPs, from the spec.
        seconds: Wall time (total) and of training alone; not part of any generation file.
        limits: The limits it ran into, by their names in ``runtime``; empty unless it timed out or ran
            out of memory.
        machine: Fingerprint of the machine it was trained on.
        finished_at: UTC, ISO 8601.
    """

    key: str
    digest: str
    genome: str
    status: Status
    metrics: dict[str, float]
    detail: str
    tokens: Annotated[int, Field(ge=0)]
    flops: Annotated[int, Field(ge=0)]
    seconds: dict[str, float]
    limits: dict[str, float]
    machine: dict[str, Any]
    finished_at: str


def is_final(evaluation: Evaluation, runtime: Runtime) -> bool:
    """Whether training again could not end otherwise.

    What ran into a limit is worth another try once that limit is higher; everything else depends on
    nothing that is not part of the key.
    """
    return all(limit >= getattr(runtime, name, 0) for name, limit in evaluation.limits.items())


def evaluation_key(
    digest: str,
    params: Params,
    data_digest: str,
    stop: int | None = None,
    machine: Mapping[str, str] | None = None,
) -> str:
    """Name of an evaluation in the store: what its result depends on, and nothing else.

    Architecture, recipe, data, seed (part of the recipe), semantics of the model half, torch
    version, threads (part of the recipe), device, instruction set and processor vendor; and the step at
    which a training was measured, if that is not its last. ``machine``: the fingerprint of another machine.
    """
    content = {
        "architecture": digest,
        "recipe": params.training.model_dump(mode="json", exclude={"accelerator"}),
        "data": data_digest,
        "semantics": semantics.MODEL,
        "machine": machine_fingerprint(params.training.accelerator) if machine is None else dict(machine),
    }
    if stop is not None and stop < params.training.steps:
        content["stop"] = stop
    return digest_json(content)
