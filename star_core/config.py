"""The experiment, as ``params.yaml`` states it: every key, its range, its default and what it means."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from star_core.errors import ConfigError, nearest

MAX_FILE_BYTES = 1 << 20


Beta = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the experiment: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Data(Section):
    """What the models learn from.

    Attributes:
        source: ``kjv`` (the default corpus), or a file, a folder or an fsspec URL of text files
            (``.txt``, ``.md``, ``.jsonl``), or a folder of token shards.
        validation_fraction: Share of the documents' text held out for validation. Documents are
            never split between training and validation (a lone document is cut once).
    """

    source: str | list[str] = "kjv"
    validation_fraction: float = Field(default=0.05, gt=0, lt=1)


class Space(Section):
    """Which genomes exist.

    Attributes:
        preset: ``paper``, ``extended``, ``lfm2``, ``attention``: LIV classes of the table; ``full``: a genome
            brings its own, which evolve with it.
        depth: LIVs of a genome; the most of them if ``min_depth`` is given.
        min_depth: LIVs a genome has at least; ``null``: all have ``depth``.
        groups: Sharing indices run from 1 to this.
        classes: Classes that a genome of ``full`` brings.
        novelty: Share of a founder's classes, in ``full``, that are drawn from all valid ones; the others are
            rows of the class table.
        class_mutation: Mutations expected in a class of ``full`` for each expected in a gene of the backbone.
    """

    preset: str = "paper"
    depth: int = Field(default=8, ge=1, le=256)
    groups: int = Field(default=4, ge=1, le=35)
    min_depth: int | None = Field(default=None, ge=1, le=256)
    classes: int = Field(default=8, ge=1, le=17)
    novelty: float = Field(default=0.25, ge=0, le=1)
    class_mutation: float = Field(default=1.0, ge=0, le=100)

    @property
    def depths(self) -> range:
        """Numbers of LIVs a genome may have."""
        return range(self.depth if self.min_depth is None else self.min_depth, self.depth + 1)

    @property
    def depth_in_words(self) -> str:
        """The same for messages."""
        return f"{self.depth} LIVs" if self.min_depth is None else f"{self.min_depth} to {self.depth} LIVs"

    @model_validator(mode="after")
    def _depths_rise(self) -> Space:
        if not self.depths:
            raise ValueError(f"min_depth is at most depth ({self.depth})")
        return self


class Model(Section):
    """At which size genomes are built.

    Attributes:
        width: Channels of the residual stream.
        head_dim: Channels per head; ``null``: the largest power of two up to 64 that leaves a
            multiple of four heads.
    """

    width: int = Field(default=64, ge=8, le=65536)
    head_dim: int | None = Field(default=None, ge=2)


class Training(Section):
    """The recipe every candidate is trained by (arXiv 2411.17800, §5, scaled down).

    Attributes:
        steps: Optimiser steps.
        batch_size: Sequences per step.
        sequence_length: Tokens per sequence.
        learning_rate: Peak rate; ``null``: the paper's 8e-4 at width 768, scaled by ``768 / width``
            as Adam's rate for hidden matrices is in maximal-update parametrisation (arXiv 2203.03466).
        warmup_steps: Steps of linear warm-up; a cosine down to a tenth of the peak follows.
        weight_decay: Of matrices; vectors are not decayed.
        betas: AdamW's.
        clip: Largest norm of the gradient.
        validation_tokens: Tokens the validation loss is measured on (capped by what there is).
        precision: ``fp32`` or ``bf16`` (autocast).
        accelerator: As Lightning's: ``auto`` takes a GPU when there is one.
        threads: CPU threads of a candidate. Results are bit-reproducible with 1.
        seed: Of initial weights and order of the data; one for all candidates.
    """

    steps: int = Field(default=100, ge=1)
    batch_size: int = Field(default=4, ge=1)
    sequence_length: int = Field(default=256, ge=2)
    learning_rate: float | None = Field(default=None, gt=0)
    warmup_steps: int = Field(default=10, ge=0)
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    clip: float = Field(default=1.0, gt=0)
    validation_tokens: int = Field(default=16384, ge=2)
    precision: Literal["fp32", "bf16"] = "fp32"
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    threads: int = Field(default=1, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)

    @model_validator(mode="before")
    @classmethod
    def _betas_from_list(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("betas"), list):
            return {**values, "betas": tuple(values["betas"])}
        return values

    @property
    def tokens(self) -> int:
        """Tokens a candidate is trained on."""
        return self.tokens_until(None)

    def tokens_until(self, stop: int | None) -> int:
        """Tokens of the steps before ``stop``; ``None``: of all."""
        return (self.steps if stop is None else stop) * self.batch_size * self.sequence_length

    def peak_rate(self, width: int) -> float:
        """Peak learning rate at this width."""
        return self.learning_rate if self.learning_rate is not None else 8e-4 * 768 / width


OBJECTIVE_PRESETS: dict[str, tuple[str, ...]] = {
    "quality": ("perplexity",),
    "quality+size": ("perplexity", "parameters"),
    "quality+cache": ("perplexity", "cache_bytes"),
    "quality+size+cache": ("perplexity", "parameters", "cache_bytes"),
}


class Objectives(Section):
    """What is minimised.

    Attributes:
        preset: ``quality``, ``quality+size``, ``quality+cache`` or ``quality+size+cache``.
        names: Objectives by name, instead of a preset.
        cache_length: Tokens held when the inference cache, or the time per token, is measured.
        prompt_length: Tokens of the prompt when the time to the first token is measured.
        mad_steps: Optimiser steps on each of the synthetic tasks of ``mad_error``.
        constraints: Objective name → largest admissible value (need not be an objective of the run).
    """

    preset: str | None = "quality+size+cache"
    names: list[str] | None = None
    cache_length: int = Field(default=4096, ge=1)
    prompt_length: int = Field(default=512, ge=1)
    mad_steps: int = Field(default=200, ge=1)
    constraints: dict[str, float] = Field(default_factory=dict)

    @property
    def selected(self) -> tuple[str, ...]:
        """Objective names, in order.

        Raises:
            ConfigError: No such preset, an objective twice, or none at all.
        """
        if self.names is not None:
            if not self.names or len(set(self.names)) != len(self.names):
                raise ConfigError(
                    "at least one objective, each once",
                    value=self.names,
                    place="objectives.names",
                    fix="use e.g. [perplexity, parameters]",
                )
            return tuple(self.names)
        if self.preset not in OBJECTIVE_PRESETS:
            raise ConfigError(
                "no such preset of objectives",
                value=self.preset,
                place="objectives.preset",
                fix=nearest(self.preset, OBJECTIVE_PRESETS),
            )
        return OBJECTIVE_PRESETS[self.preset]


class Halving(Section):
    """Successive halving (arXiv 1502.07943) in a generation: not all candidates are trained to the end.

    Attributes:
        rungs: Shares of the steps after which candidates are compared, rising; empty: all are trained
            to the end, as in the paper.
        keep: Share that goes on from each rung, from its weights; at least one candidate.
    """

    rungs: tuple[Share, ...] = ()
    keep: Share = 0.5

    @model_validator(mode="before")
    @classmethod
    def _rungs_from_list(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("rungs"), list):
            return {**values, "rungs": tuple(values["rungs"])}
        return values

    @field_validator("rungs")
    @classmethod
    def _rungs_rise(cls, rungs: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(rungs)):
            raise ValueError("rungs rise, e.g. [0.25, 0.5]")
        return rungs


class Screening(Section):
    """Pre-screening of offspring by a learned predictor.

    Attributes:
        factor: Offspring made for each that is trained; 1: no screening, as in the paper.
        minimum: Trained candidates the predictor learns from at least; before that nothing is screened.
        explore: Share of the trained offspring that is taken at random from what the predictor left.
    """

    factor: int = Field(default=1, ge=1, le=1000)
    minimum: int = Field(default=12, ge=2)
    explore: float = Field(default=0.25, ge=0, le=1)


class Evolution(Section):
    """How genomes are selected and varied (arXiv 2411.17800, §4).

    Attributes:
        algorithm: A file in ``star_core/evolution``.
        population: Individuals that survive a generation.
        offspring: New individuals per generation; ``null``: as many as the population.
        tournament: Individuals compared to pick one parent.
        crossover_points: k of the k-point crossover.
        crossover_rate: Share of matings that recombine.
        crossover: Where parents are cut: between ``genes``, between ``livs``, or between LIVs with sharing
            groups renamed so that ``links`` of a parent survive.
        mutation_rate: Probability per position.
        mutation: ``free``: to any allele valid for the position by itself; ``fitting``: to one that breaks
            nothing in the rest of the genome; where there is none, the position stays as it is.
        repair: What becomes of invalid children: ``guard_rails`` re-samples their invalid positions,
            ``resample`` mates again, ``reject`` leaves their places empty.
        elites: Best individuals that a plain genetic algorithm never replaces (NSGA-II keeps them anyway).
        halving: Which candidates are trained to the end.
        screening: Which offspring are trained at all.
        seeds: Hand-designed genomes (or baseline names) among the founders.
        seed: Root of all random numbers of the search.
    """

    algorithm: str = "nsga2"
    population: int = Field(default=8, ge=2, le=100_000)
    offspring: int | None = Field(default=None, ge=1, le=100_000)
    tournament: int = Field(default=2, ge=1)
    crossover_points: int = Field(default=2, ge=1)
    crossover_rate: float = Field(default=0.9, ge=0, le=1)
    crossover: Literal["genes", "livs", "links"] = "genes"
    mutation_rate: float = Field(default=0.1, ge=0, le=1)
    mutation: Literal["free", "fitting"] = "free"
    repair: Literal["guard_rails", "resample", "reject"] = "guard_rails"
    elites: int = Field(default=2, ge=0, le=100_000)
    halving: Halving = Halving()
    screening: Screening = Screening()
    seeds: list[str] = Field(default_factory=list)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @property
    def num_offspring(self) -> int:
        """New individuals per generation."""
        return self.population if self.offspring is None else self.offspring


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


LATER: tuple[tuple[str, str], ...] = (
    ("space", "min_depth"),
    ("space", "classes"),
    ("space", "novelty"),
    ("space", "class_mutation"),
    ("evolution", "crossover"),
    ("evolution", "mutation"),
    ("evolution", "repair"),
    ("evolution", "elites"),
    ("evolution", "halving"),
    ("objectives", "prompt_length"),
    ("objectives", "mad_steps"),
    ("evolution", "screening"),
)
"""Keys (section, name) younger than stored generations, which were made as their defaults say."""


class Params(Section):
    """The whole experiment."""

    generations: int = Field(default=4, ge=0, le=100_000)
    data: Data = Data()
    space: Space = Space()
    model: Model = Model()
    training: Training = Training()
    objectives: Objectives = Objectives()
    evolution: Evolution = Evolution()
    retrain: Retrain = Retrain()
    budget: Budget = Budget()
    runtime: Runtime = Runtime()

    def identity(self) -> dict[str, Any]:
        """The part of the parameters that a stored generation depends on.

        Keys in ``LATER`` are left out at their defaults.
        """
        values = self.model_dump(mode="json", exclude={"generations", "retrain", "budget", "runtime"})
        for section, key in LATER:
            own = getattr(self, section)
            if getattr(own, key) == type(own).model_fields[key].get_default(call_default_factory=True):
                del values[section][key]
        return values

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of ``identity``."""
        return digest_json(self.identity())


def digest_json(value: object) -> str:
    """SHA-256 (hex) of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class PlainLoader(yaml.SafeLoader):
    """YAML without aliases, which can blow up, and without a key twice, of which one is lost."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read here; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuses a key that was there before."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.YAMLError(
                    f"the key {key.value!r} stands twice, again in line {key.start_mark.line + 1}"
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_params(path: str | Path) -> Params:
    """Reads ``params.yaml``.

    Raises:
        ConfigError: The file is missing, no YAML mapping, has an unknown key or a value out of
            range; names file, key, value, rule and the nearest valid choice.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", place=str(path), fix="name an existing file with --params"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(
            "a parameter file is at most 1 MiB", value=len(raw), place=str(path), fix="shorten it"
        )
    try:
        values = yaml.load(raw, Loader=PlainLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"not YAML: {reason}", place=str(path), fix="correct that line") from error
    if values is None:
        values = {}
    return params_from(values, str(path))


def params_from(values: object, place: str) -> Params:
    """Checks parameters given as a plain mapping; ``place`` is named in errors.

    Raises:
        ConfigError: As ``load_params``.
    """
    if not isinstance(values, dict):
        raise ConfigError(
            "parameters are a mapping of sections", value=values, place=place, fix="see params.yaml"
        )
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise _explain(error, place) from None
    except RecursionError:
        raise ConfigError("nested too deeply", place=place, fix="see params.yaml") from None
    try:
        _ = params.objectives.selected
    except ConfigError as error:
        raise error.at(place) from None
    return params


def _explain(error: ValidationError, place: str) -> ConfigError:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        section: type[BaseModel] = Params
        for part in location[:-1]:
            field = section.model_fields.get(part)
            annotation = field.annotation if field else None
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
        return ConfigError(
            "no such key",
            value=location[-1],
            place=f"{place}, {'.'.join(location)}",
            fix=nearest(location[-1], section.model_fields),
        )
    rule = first["msg"][0].lower() + first["msg"][1:]
    return ConfigError(
        rule, value=first.get("input"), place=f"{place}, {'.'.join(location)}", fix="correct the value"
    )
