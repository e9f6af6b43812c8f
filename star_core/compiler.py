"""Genome → Architecture: classes looked up, sharing resolved to owners, sizes known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from star_core.architecture import Architecture, FeatureGroup, Layer
from star_core.config import Model
from star_core.errors import ConfigError, is_whole
from star_core.evaluation import Job
from star_core.genome.backbone import Genome
from star_core.genome.sharing import resolve_feature_sharing, resolve_featurizer_sharing
from star_core.genome.space import SearchSpace, reading_space
from star_core.genome.validity import backbone_problems
from star_core.structures.feature_groups import Kind, feature_states, feature_weights
from star_core.structures.registered import structure_of
from star_core.structures.shapes import Dimensions, FeatureShape, Start, State, Weight
from star_core.vocabulary.featurizer import FeatureGroupGenome
from star_core.vocabulary.operator import LIVClass

MAX_WIDTH = 1 << 16


def compile_genome(
    genome: Genome,
    space: SearchSpace,
    width: int,
    head_dim: int | None = None,
    vocab_size: int = 256,
) -> Architecture:
    """Compiles a genome to the spec of a model.

    Args:
        genome: A valid genome of ``space``, or one that brings its own classes.
        space: The search space that says what its integers mean; classes that a genome brings mean
            themselves.
        width: Channels D of the residual stream.
        head_dim: Channels per head; by default ``default_head_dim(width)``.
        vocab_size: Tokens V; the model's embedding and tied head are V × D.

    Raises:
        GenomeError: The genome is invalid in ``space``, or cannot be built at this width.
        ConfigError: Width, head size or vocabulary size is out of range.
    """
    space = space.reading(genome)
    for problem in backbone_problems(space, genome):
        raise problem
    dims = dimensions(width, head_dim)
    if not is_whole(vocab_size) or vocab_size < 2:
        raise ConfigError(
            "a vocabulary is a whole number of at least 2 tokens",
            value=vocab_size,
            place="vocab_size",
            fix="use 256 for bytes",
        )
    feature_owner = resolve_feature_sharing(genome, space.classes)
    weight_owner = resolve_featurizer_sharing(genome, space.classes, feature_owner)
    layers = []
    for index, liv in enumerate(genome.livs):
        liv_class = space.classes[liv.liv_class]
        layout = _layout(liv_class, dims)
        groups = []
        for role, template in layout.groups.items():
            computed_by = feature_owner[index].get(role, index)
            reused = computed_by != index
            weights_of = None if reused else weight_owner[index].get(role, index)
            groups.append(
                FeatureGroup(
                    role,
                    template.kind,
                    template.genome,
                    template.shape,
                    computed_by,
                    weights_of,
                    template.weights,
                )
            )
        reused_roles = set(feature_owner[index])
        states = tuple(state for state in layout.states if not state.roles <= reused_roles)
        layers.append(Layer(index, liv_class, tuple(groups), states, layout.weights))
    return Architecture(genome, dims, vocab_size, tuple(layers))


def dimensions(width: int, head_dim: int | None = None) -> Dimensions:
    """Checks width and head size and fills in the default head size.

    Raises:
        ConfigError: Names the value, the rule and a width or head size that works.
    """
    if not is_whole(width) or not 1 <= width <= MAX_WIDTH:
        raise ConfigError(
            f"the width is an integer from 1 to {MAX_WIDTH}", value=width, place="width", fix="use e.g. 64"
        )
    head_dim = default_head_dim(width) if head_dim is None else head_dim
    if not is_whole(head_dim) or head_dim < 2 or head_dim % 2 or width % head_dim:
        even = [size for size in range(2, width + 1, 2) if width % size == 0]
        wish = head_dim if is_whole(head_dim) else 0
        closest = min(even, key=lambda size: abs(size - wish), default=None)
        raise ConfigError(
            f"head_dim is an even divisor of the width ({width})",
            value=head_dim,
            place="head_dim",
            fix=f"use {closest}" if closest else "use a width that is a multiple of 8",
        )
    return Dimensions(width, head_dim)


def default_head_dim(width: int) -> int:
    """Largest power of two up to 64 that leaves a multiple of four heads (grouped queries need it).

    Raises:
        ConfigError: No even head size divides the width into a multiple of four heads.
    """
    for head_dim in (64, 32, 16, 8, 4, 2):
        if width % (4 * head_dim) == 0:
            return head_dim
    raise ConfigError(
        "the width is a multiple of 8, so that it splits into four heads of even size",
        value=width,
        place="width",
        fix=f"use {max(8, round(width / 8) * 8)}",
    )


@dataclass(frozen=True, slots=True)
class _Template:
    kind: Kind
    genome: FeatureGroupGenome
    shape: FeatureShape
    weights: tuple[Weight, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    groups: dict[str, _Template]
    states: tuple[State, ...]
    weights: tuple[Weight, ...]


@lru_cache(maxsize=4096)
def _layout(liv_class: LIVClass, dims: Dimensions) -> _Layout:
    """Everything about a LIV class at given sizes that does not depend on its neighbours."""
    operator, featurizer = liv_class.operator, liv_class.featurizer
    structure = structure_of(operator.token_mixing)
    structure.check(operator, featurizer)
    genomes = dict(zip(featurizer.roles, featurizer.groups, strict=True))
    shapes = {role: structure.shape(role, group, operator, dims) for role, group in genomes.items()}
    states = [
        state
        for role in structure.features
        for state in feature_states(role, genomes[role.letter], shapes[role.letter])
    ]
    states += structure.states(operator, genomes, shapes, dims)
    value = shapes["V"]
    mixed = value.size * genomes["V"].repeat
    weights = [Weight("norm", (dims.width,), Start.ONES), structure.output(operator, mixed, dims)]
    if liv_class.differential:
        weights.append(Weight("difference", (1,), Start.DIFFERENCE))
    groups = {}
    for role in structure.features:
        group, shape = genomes[role.letter], shapes[role.letter]
        weights_of_group = feature_weights(role.kind, group, shape, dims)
        groups[role.letter] = _Template(role.kind, group, shape, weights_of_group)
    return _Layout(groups, tuple(states), tuple(weights))


def job_architecture(job: Job, vocab_size: int, model: Model | None = None) -> Architecture:
    """The architecture of a job's genome.

    Args:
        job: Names the genome, its search space and the size of the model.
        vocab_size: Of the data.
        model: Another size than the job's; ``None``: the job's own.

    Raises:
        GenomeError: The genome is not valid.
        ConfigError: It cannot be built at that size.
    """
    size = job.model if model is None else model
    return compile_genome(
        Genome.parse(job.genome), reading_space(job.space), size.width, size.head_dim, vocab_size
    )


def planned_architecture(job: Job, vocab_size: int, plan: str) -> Architecture:
    """The architecture of a job, which must have the digest that the job names.

    Args:
        job: As in ``job_architecture``.
        vocab_size: Of the data.
        plan: One word for what was planned (``training``, ``measurement``), used in the error's advice.

    Raises:
        GenomeError: The genome is not valid.
        ConfigError: It compiles to another architecture than the job says.
    """
    architecture = job_architecture(job, vocab_size)
    if architecture.digest != job.digest:
        raise ConfigError(
            f"the genome compiles to another architecture than the job says ({job.digest[:12]})",
            value=architecture.digest[:12],
            place=job.genome,
            fix=f"plan the {plan} again with this version",
        )
    return architecture
