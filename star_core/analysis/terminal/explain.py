"""Genomes for people: the gene tables and single architectures as terminal tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from star_core import units
from star_core.analysis.run.lineage import individuals
from star_core.analysis.terminal.output import Output, printable
from star_core.analysis.terminal.own_classes import layout_tables, own_classes_table
from star_core.analysis.terminal.table import Column, TerminalTable, whole
from star_core.architecture import Architecture, Layer
from star_core.compiler import compile_genome
from star_core.config import Objectives, Params
from star_core.errors import ConfigError, StoreError, nearest
from star_core.evolution.base import Problem
from star_core.genome.backbone import Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.genome.space import SearchSpace, reading_space
from star_core.objectives.base import objective
from star_core.objectives.devices import LatencyModel, latency_model, stated
from star_core.population.generation import Generation, stored_generations
from star_core.population.individual import Individual
from star_core.structures.registered import (
    class_table,
    featurizer_of,
    featurizer_table,
    operator_genes,
    roles_of,
    structure_of,
    structures,
)
from star_core.vocabulary.tables import (
    BACKBONE_GENES,
    FEATURIZER_GENES,
    Gene,
    write_allele,
)

LEVELS = ("backbone", "operator", "featurizer", "own")
CACHE_LENGTHS = (1024, 4096, 32768)
FEATURE_BYTES = Objectives().feature_bytes
"""As the objective counts by default."""
SHARED_WIDTH, SHARED_LENGTH = 256, 4096
"""At which ``star genes`` shows what sharing saves."""


def gene_tables(level: str = "all") -> Iterator[TerminalTable]:
    """The integers of the genome levels: ranges and meanings, from the tables the code uses.

    Raises:
        ConfigError: No such level.
    """
    if level not in (*LEVELS, "all"):
        raise ConfigError(
            "no such genome level", value=level, place="--level", fix=nearest(level, (*LEVELS, "all"))
        )
    if level in ("backbone", "all"):
        title = "Backbone genome: five integers per LIV, one base-36 character each"
        yield _genes(title, BACKBONE_GENES, "backbone")
        yield _classes()
        yield _strategies()
        yield _savings()
    if level in ("operator", "all"):
        yield _genes("Operator genome: five integers per LIV class", operator_genes(), "operator")
    if level in ("featurizer", "all"):
        yield _genes("Featurizer genome: six integers per feature group", FEATURIZER_GENES, "featurizer")
        yield _featurizers()
        roles = roles_of(structure.allele for structure in structures())
        columns = (Column("role"), Column("meaning", prose=True))
        rows = tuple((role.letter, role.meaning) for role in roles)
        yield TerminalTable("Feature groups", columns, rows, "feature_groups")
    if level in ("own", "all"):
        yield from layout_tables()


def _genes(title: str, genes: tuple[Gene, ...], name: str) -> TerminalTable:
    rows = []
    for number, gene in enumerate(genes, 1):
        alleles = "; ".join(f"{allele} {meaning}" for allele, meaning in gene.alleles.items())
        meaning = gene.meaning + (f" ({alleles})" if alleles else "")
        rows.append((number, gene.name, (gene.low, gene.high), meaning))
    columns = (
        Column("gene"),
        Column("name"),
        Column("range", shown="{0[0]}–{0[1]}".format),
        Column("meaning", prose=True),
    )
    return TerminalTable(title, columns, rows, name)


def _classes() -> TerminalTable:
    featurizers = featurizer_table()
    rows = [
        (
            write_allele(index),
            index,
            entry.name,
            str(entry.operator),
            structure_of(entry.operator.token_mixing).name,
            featurizers[entry.operator.featurizer],
            entry.differential,
        )
        for index, entry in class_table().items()
    ]
    columns = (
        Column("allele"),
        Column("class", gives_way=1),
        Column("name"),
        Column("operator"),
        Column("token mixing"),
        Column("featurizer", prose=True, gives_way=3, below=True),
        Column(
            "differential",
            shown=lambda differential: "two branches, difference" if differential else "",
            gives_way=2,
        ),
    )
    return TerminalTable("LIV classes (backbone gene 1)", columns, rows, "classes")


def _strategies() -> TerminalTable:
    rows = [
        (structure.name, allele, sharing.roles, sharing.meaning)
        for structure in structures()
        for allele, sharing in structure.strategies.items()
    ]
    columns = (
        Column("token mixing"),
        Column("allele"),
        Column("reused", shown=lambda roles: " ".join(roles) or units.MISSING),
        Column("what that saves", "meaning", prose=True),
    )
    title = "Feature-sharing strategies (backbone gene 5), by token mixing"
    return TerminalTable(title, columns, rows, "strategies")


def _savings() -> TerminalTable:
    """What each strategy leaves of a LIV's parameters and cache, from the spec of two LIVs that share."""
    space = reading_space()
    rows = []
    for index, entry in space.classes.items():
        cells: list[tuple[float, float | None] | None] = []
        for strategy in space.alleles(index, 4)[1:]:
            apart, together = (
                _second_layer(space, f"{write_allele(index)}111{own}", f"{write_allele(index)}111{other}")
                for own, other in ((1, 1), (2, strategy))
            )
            held = apart.cache_elements(SHARED_LENGTH)
            cache = together.cache_elements(SHARED_LENGTH) / held if held else None
            cells.append((together.num_parameters / apart.num_parameters, cache))
        rows.append((write_allele(index), entry.name, *cells, *[None] * (4 - len(cells))))
    columns = (
        Column("allele", gives_way=1),
        Column("class"),
        *(Column(str(strategy), f"strategy_{strategy}", _kept) for strategy in range(2, 6)),
    )
    title = f"Parameters / cache a LIV keeps (width {SHARED_WIDTH}, {SHARED_LENGTH} tokens)"
    return TerminalTable(title, columns, rows, "savings")


def _kept(shares: tuple[float, float | None]) -> str:
    parameters, cache = shares
    return f"{parameters:.0%} / {units.MISSING if cache is None else f'{cache:.0%}'}"


def _second_layer(space: SearchSpace, first: str, second: str) -> Layer:
    return compile_genome(Genome.parse(f"{first}-{second}"), space, SHARED_WIDTH).layers[1]


def _featurizers() -> TerminalTable:
    rows = []
    for index, meaning in featurizer_table().items():
        featurizer = featurizer_of(index)
        groups = {role: str(group) for role, group in zip(featurizer.roles, featurizer.groups, strict=True)}
        rows.append((index, groups, meaning))
    columns = (
        Column("class"),
        Column(
            "role:genome per group",
            "groups",
            lambda groups: "  ".join(f"{role}:{group}" for role, group in groups.items()),
        ),
        Column("meaning", prose=True, gives_way=1, below=True),
    )
    return TerminalTable("Featurizer classes (operator gene 1)", columns, rows, "featurizer_classes")


def explained(
    architecture: Architecture, section: Objectives, individual: Individual | None = None, reason: str = ""
) -> Output:
    """An architecture layer by layer, then its sizes; what it takes on a device, where one is named.

    Args:
        architecture: The spec.
        section: Which device.
        individual: Of which it is, if it is a stored one's; where that has failed, it is said.
        reason: Why it failed, if that is known.
    """
    dims, genome = architecture.dims, str(architecture.genome)
    layers = _layers(architecture)
    own = own_classes_table(architecture.genome) if architecture.genome.table else None
    facts = (
        f"{len(architecture.layers)} LIVs, width {dims.width}, {dims.heads} heads of {dims.head_dim}, "
        f"vocabulary {architecture.vocab_size}, digest {architecture.digest[:12]}"
    )
    parts: list[RenderableType] = [whole(genome, "bold"), Text(facts)]
    if individual is not None and not individual.ok:
        status, why = individual.status.replace("_", " "), f" ({printable(reason)})" if reason else ""
        parts.append(Text(f"{individual.id}: {status}{why}", "red"))
    parts.append(layers)
    parts += [own] if own else []
    parts.append(_sizes(architecture))
    predicted: dict[str, float] = {}
    if section.device is not None:
        model = latency_model(section)
        try:
            predicted = {quantity: model.predict(architecture, quantity) for quantity in stated(model)}
        except ConfigError as error:  # another size is worth explaining too
            parts.append(Text(str(error)))
        else:
            parts += map(Text, _predictions(architecture, model, predicted))
    data = {
        "genome": genome,
        "digest": architecture.digest,
        "width": dims.width,
        "heads": dims.heads,
        "head_dim": dims.head_dim,
        "vocab_size": architecture.vocab_size,
        "layers": layers.records(),
        "own_classes": own.records() if own else [],
        "parameters": architecture.num_parameters,
        "cache_bytes": {
            length: architecture.cache_bytes(length, feature_bytes=FEATURE_BYTES) for length in CACHE_LENGTHS
        },
        "flops_per_token": {length: architecture.flops_per_token(length) for length in CACHE_LENGTHS},
        "predicted": predicted,
    }
    if individual is not None:
        data |= {"individual": individual.id, "status": individual.status, "failure": reason or None}
    return Output(data, parts)


def _predictions(
    architecture: Architecture, model: LatencyModel, predicted: Mapping[str, float]
) -> Iterator[str]:
    errors = stated(model)
    yield f"On {model.on}, behind {model.context:,} tokens, prompt of {model.prompt:,}:"
    for quantity, value in predicted.items():
        entry = objective(quantity)
        yield f"  {entry.title} {entry.text(value)} ({errors[quantity]})"
    if names := model.unseen(architecture):
        yield f"  Estimated from FLOPs and sizes, since no measured model has them: {', '.join(names)}."


def _layers(architecture: Architecture) -> TerminalTable:
    rows = [
        (
            layer.index + 1,
            str(liv),
            layer.liv_class.name,
            str(layer.liv_class.operator),
            layer.num_parameters,
            layer.cache_bytes(4096, feature_bytes=FEATURE_BYTES),
            layer.flops_per_token(4096, architecture.dims),
            _links(layer),
        )
        for layer, liv in zip(architecture.layers, architecture.genome.livs, strict=True)
    ]
    columns = (
        Column("LIV"),
        Column("genes"),
        Column("class"),
        Column("operator", gives_way=1),
        Column("parameters", shown="{:,}".format, right=True),
        Column("cache\nat 4k", "cache_bytes_at_4096", _bytes, right=True),
        Column("FLOPs/token\nat 4k", "flops_per_token_at_4096", "{:,}".format, right=True),
        Column("shares", shown=lambda links: links or units.MISSING, prose=True, gives_way=2, below=True),
    )
    return TerminalTable("Layers", columns, rows)


def _sizes(architecture: Architecture) -> TerminalTable:
    rows = [
        ("parameters", f"{architecture.num_parameters:,}", "embedding (tied head) and final norm included")
    ]
    rows += [
        (
            f"cache at {length // 1024}k tokens",
            _bytes(architecture.cache_bytes(length, feature_bytes=FEATURE_BYTES)),
            "one sequence; sums over tokens in float32, the rest in bfloat16",
        )
        for length in CACHE_LENGTHS
    ]
    rows += [
        (f"FLOPs per token at {length // 1024}k", f"{architecture.flops_per_token(length):,}", "forward")
        for length in CACHE_LENGTHS
    ]
    columns = (Column(""), Column("", right=True), Column("", prose=True, gives_way=1, below=True))
    return TerminalTable("Sizes", columns, rows)


def _links(layer: Layer) -> str:
    """What a layer takes from earlier ones, in words."""
    computed: dict[int, list[str]] = {}
    weights: dict[int, list[str]] = {}
    for group in layer.groups:
        if group.computed_by != layer.index:
            computed.setdefault(group.computed_by, []).append(group.role)
        elif group.weights_of is not None and group.weights_of != layer.index:
            weights.setdefault(group.weights_of, []).append(group.role)
    texts = [f"features {' '.join(roles)} of LIV {owner + 1}" for owner, roles in computed.items()]
    texts += [f"weights {' '.join(roles)} of LIV {owner + 1}" for owner, roles in weights.items()]
    return "; ".join(texts)


def _bytes(count: int) -> str:
    if count >= 1 << 20:
        return f"{count / (1 << 20):.2f} MiB"
    return f"{count / 1024:.1f} KiB" if count else "0"


def find_individual(text: str, root: Path) -> tuple[Individual, Generation] | None:
    """The stored individual that ``RUN:INDIVIDUAL`` names, and its run's first generation.

    ``None`` if the text is none such: a genome, or a baseline's name.

    Raises:
        StoreError: The run or individual is not stored below ``root``.
    """
    run, colon, name = text.partition(":")
    if not colon:
        return None
    generations = stored_generations(run, root)
    known = individuals(generations)
    if name not in known:
        raise StoreError(
            f"run {run!r} has no such individual among {len(known)} stored",
            value=name,
            place=str(root / "populations" / run),
            fix=nearest(name, list(known)[-8:]) if known else f"star evolve {run}",
        )
    return known[name], generations[0]


def find_architecture(text: str, root: Path, params: Params, width: int | None = None) -> Architecture:
    """The architecture a user means: genome text, a baseline's name, or ``RUN:INDIVIDUAL``.

    Args:
        text: What the user wrote.
        root: The data folder.
        params: Sizes of a genome or baseline; a stored individual has those of its run.
        width: Channels to compile at instead.

    Raises:
        GenomeError: It is read as genome text and is none.
        StoreError: The run or individual is not stored below ``root``.
    """
    vocab_size = 256
    if text in PATTERNS:
        genome = baseline(text, params.space.depth)
    elif (found := find_individual(text, root)) is None:
        genome = Genome.parse(text)
    else:
        individual, founders = found
        genome = Genome.parse(individual.genome)
        params, vocab_size = founders.params(), founders.vocab_size
    if width is not None:
        model = params.model.model_copy(update={"width": width, "head_dim": None})
        params = params.model_copy(update={"model": model})
    return Problem(params, vocab_size).compile(genome)
