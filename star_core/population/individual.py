"""An individual: a genome, where it came from, how it did."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from star_core.evaluation import Standing
from star_core.storage.sealed import Digest, Record

IndividualId = Annotated[str, Field(pattern=r"^g\d{3,6}-\d{2,6}$")]


class Repair(Record):
    """One position that variation left invalid and repair re-sampled.

    Attributes:
        position: Index into the genome's vector.
        old, new: Alleles before and after.
        rule: The rule the old allele broke.
    """

    position: int
    old: int
    new: int
    rule: str


class Origin(Record):
    """How a genome was made.

    Attributes:
        operator: ``random`` (sampled), ``seed`` (hand-designed) or ``variation``.
        crossover_points: Vector positions at which the parents were cut; empty: no recombination.
        mutations: Vector positions that were mutated.
        repairs: What the guard rails changed afterwards.
    """

    operator: Literal["random", "seed", "variation"]
    crossover_points: tuple[int, ...] = ()
    mutations: tuple[int, ...] = ()
    repairs: tuple[Repair, ...] = ()


class Cost(Record):
    """What its evaluation took, in units that do not depend on the machine."""

    tokens: int = Field(ge=0)
    flops: int = Field(ge=0)


class Past(Record):
    """A candidate of the run that was trained to the end, as far as a predictor learns from it.

    Attributes:
        genome: Text.
        objectives: Those that took a training or a probe.
    """

    genome: str
    objectives: dict[str, float]


class Offspring(Record):
    """A genome that is to be evaluated."""

    id: IndividualId
    genome: str
    digest: Digest
    parents: tuple[IndividualId, ...]
    origin: Origin


class Individual(Offspring):
    """An evaluated genome.

    Attributes:
        key: Its evaluation in the store.
        status: ``ok``, how training failed, ``stopped``: it was measured at a rung of successive halving,
            and others went on; or ``infeasible``: what is known without training breaks a limit, so it
            was not trained.
        objectives: Name → value; ``None`` where no training, or a failed one, leaves it unknown.
        violation: Sum of relative constraint violations, of those that are known; 0 is feasible.
        rank: Non-domination rank within the population, from 0; ``None`` if it did not survive.
        crowding: Crowding distance within its front; ``None`` at the ends of a front (infinite) or
            if it did not survive.
        cost: Tokens and FLOPs of its training.
        noise: Name → relative noise of the objectives that were measured with some; ``None`` if none was.
        failure: Which objective was no finite number, or is over its limit, and what it was; ``None``: the
            evaluation says all.
    """

    key: Digest
    status: Standing
    objectives: dict[str, float | None]
    violation: float = Field(ge=0)
    rank: int | None = Field(default=None, ge=0)
    crowding: float | None = Field(default=None, ge=0)
    cost: Cost
    noise: dict[str, float] | None = Field(default=None, exclude_if=lambda value: value is None)
    failure: str | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def ok(self) -> bool:
        """Whether it was trained to the end, so that every objective is known."""
        return self.status == "ok"

    @property
    def has_standing(self) -> bool:
        """Whether selection knows how good it is, or how infeasible."""
        return self.status in ("ok", "infeasible")

    @property
    def born(self) -> int:
        """Index of the generation that made it."""
        return int(self.id[1:].split("-")[0])


def individual_id(generation: int, slot: int) -> str:
    """The name of the individual made in a slot of a generation, e.g. ``g003-05``."""
    return f"g{generation:03d}-{slot:02d}"
