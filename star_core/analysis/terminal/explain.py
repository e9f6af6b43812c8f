"""Genomes for people: the gene tables and single architectures as terminal tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from star_core.analysis.run.lineage import individuals
from star_core.analysis.terminal.own_classes import layout_tables, own_classes_table
from star_core.analysis.terminal.table import terminal_table
from star_core.architecture import Architecture, Layer
from star_core.compiler import compile_genome
from star_core.config import Params
from star_core.errors import ConfigError, StoreError, nearest
from star_core.evolution.base import Problem
from star_core.genome.backbone import Genome
from star_core.genome.baselines import PATTERNS, baseline
from star_core.genome.space import SearchSpace, reading_space
from star_core.population.generation import stored_generations
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
SHARED_WIDTH, SHARED_LENGTH = 256, 4096
"""At which ``star genes`` shows what sharing saves."""


def gene_tables(level: str = "all") -> Iterator[RenderableType]:
    """The integers of the genome levels: ranges and meanings, from the tables the code uses.

    Raises:
        ConfigError: No such level.
    """
    if level not in (*LEVELS, "all"):
        raise ConfigError(
            "no such genome level", value=level, place="--level", fix=nearest(level, (*LEVELS, "all"))
        )
    if level in ("backbone", "all"):
        yield _genes("Backbone genome: five integers per LIV, one base-36 character each", BACKBONE_GENES)
        yield _classes()
        yield _strategies()
        yield _savings()
    if level in ("operator", "all"):
        yield _genes("Operator genome: five integers per LIV class", operator_genes())
    if level in ("featurizer", "all"):
        yield _genes("Featurizer genome: six integers per feature group", FEATURIZER_GENES)
        yield _featurizers()
        roles = roles_of(structure.allele for structure in structures())
        rows = ((role.letter, role.meaning) for role in roles)
        yield terminal_table("Feature groups", ("role", "meaning"), rows)
    if level in ("own", "all"):
        yield from layout_tables()


def _genes(title: str, genes: tuple[Gene, ...]) -> Table:
    rows = []
    for number, gene in enumerate(genes, 1):
        alleles = "; ".join(f"{allele} {meaning}" for allele, meaning in gene.alleles.items())
        rows.append(
            (
                number,
                gene.name,
                f"{gene.low}–{gene.high}",
                gene.meaning + (f" ({alleles})" if alleles else ""),
            )
        )
    return terminal_table(title, ("gene", "name", "range", "meaning"), rows)


def _classes() -> Table:
    featurizers = featurizer_table()
    rows = [
        (
            write_allele(index),
            index,
            entry.name,
            entry.operator,
            structure_of(entry.operator.token_mixing).name,
            featurizers[entry.operator.featurizer],
            "two branches, difference" if entry.differential else "",
        )
        for index, entry in class_table().items()
    ]
    columns = ("allele", "class", "name", "operator", "token mixing", "featurizer", "differential")
    return terminal_table("LIV classes (backbone gene 1)", columns, rows)


def _strategies() -> Table:
    rows = [
        (structure.name, allele, " ".join(sharing.roles) or "–", sharing.meaning)
        for structure in structures()
        for allele, sharing in structure.strategies.items()
    ]
    return terminal_table(
        "Feature-sharing strategies (backbone gene 5), by token mixing",
        ("token mixing", "allele", "reused", "what that saves"),
        rows,
    )


def _savings() -> Table:
    """What each strategy leaves of a LIV's parameters and cache, from the spec of two LIVs that share."""
    space = reading_space()
    rows = []
    for index, entry in space.classes.items():
        cells = []
        for strategy in space.alleles(index, 4)[1:]:
            apart, together = (
                _second_layer(space, f"{write_allele(index)}111{own}", f"{write_allele(index)}111{other}")
                for own, other in ((1, 1), (2, strategy))
            )
            parameters = together.num_parameters / apart.num_parameters
            held = apart.cache_elements(SHARED_LENGTH)
            cache = f"{together.cache_elements(SHARED_LENGTH) / held:.0%}" if held else "–"
            cells.append(f"{parameters:.0%} / {cache}")
        rows.append((write_allele(index), entry.name, *cells, *[""] * (4 - len(cells))))
    return terminal_table(
        f"Parameters / cache a LIV keeps (width {SHARED_WIDTH}, {SHARED_LENGTH} tokens)",
        ("allele", "class", "2", "3", "4", "5"),
        rows,
    )


def _second_layer(space: SearchSpace, first: str, second: str) -> Layer:
    return compile_genome(Genome.parse(f"{first}-{second}"), space, SHARED_WIDTH).layers[1]


def _featurizers() -> Table:
    rows = []
    for index, meaning in featurizer_table().items():
        featurizer = featurizer_of(index)
        groups = "  ".join(
            f"{role}:{group}" for role, group in zip(featurizer.roles, featurizer.groups, strict=True)
        )
        rows.append((index, groups, meaning))
    return terminal_table(
        "Featurizer classes (operator gene 1)", ("class", "role:genome per group", "meaning"), rows
    )


def architecture_tables(architecture: Architecture) -> Iterator[RenderableType]:
    """An architecture layer by layer, then its sizes."""
    dims = architecture.dims
    yield Text.assemble((str(architecture.genome), "bold"))
    yield Text(
        f"{len(architecture.layers)} LIVs, width {dims.width}, {dims.heads} heads of {dims.head_dim}, "
        f"vocabulary {architecture.vocab_size}, digest {architecture.digest[:12]}\n"
    )
    rows = []
    for layer, liv in zip(architecture.layers, architecture.genome.livs, strict=True):
        rows.append(
            (
                layer.index + 1,
                liv,
                layer.liv_class.name,
                layer.liv_class.operator,
                f"{layer.num_parameters:,}",
                _bytes(4 * layer.cache_elements(4096)),
                f"{layer.flops_per_token(4096, dims):,}",
                _links(layer) or "–",
            )
        )
    columns = (
        "LIV",
        "genes",
        "class",
        "operator",
        "parameters",
        "cache at 4k",
        "FLOPs/token at 4k",
        "shares",
    )
    table = terminal_table("Layers", columns, rows)
    for index in (4, 5, 6):
        table.columns[index].justify = "right"
    yield table
    if architecture.genome.table:
        yield own_classes_table(architecture.genome)
    sizes = [
        ("parameters", f"{architecture.num_parameters:,}", "embedding (tied head) and final norm included"),
    ]
    for length in CACHE_LENGTHS:
        sizes.append(
            (
                f"cache at {length // 1024}k tokens",
                _bytes(architecture.cache_bytes(length)),
                f"{architecture.cache_bytes(length):,} bytes, one sequence, float32",
            )
        )
    for length in CACHE_LENGTHS:
        sizes.append(
            (f"FLOPs per token at {length // 1024}k", f"{architecture.flops_per_token(length):,}", "forward")
        )
    table = terminal_table("Sizes", ("", "", ""), sizes)
    table.show_header = False
    table.columns[1].justify = "right"
    yield table


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
    elif ":" not in text:
        genome = Genome.parse(text)
    else:
        run, name = text.split(":", 1)
        generations = stored_generations(run, root)
        known = individuals(generations)
        if name not in known:
            raise StoreError(
                f"run {run!r} has no such individual among {len(known)} stored",
                value=name,
                place=str(root / "populations" / run),
                fix=nearest(name, list(known)[-8:]) if known else f"star evolve --run {run}",
            )
        genome = Genome.parse(known[name].genome)
        params, vocab_size = generations[0].params(), generations[0].vocab_size
    if width is not None:
        model = params.model.model_copy(update={"width": width, "head_dim": None})
        params = params.model_copy(update={"model": model})
    return Problem(params, vocab_size).compile(genome)
