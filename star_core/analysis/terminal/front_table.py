"""Tables for the terminal: the front of a generation beside the baselines, in 80 columns or 96."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from star_core import units
from star_core.analysis.motifs.motifs import short_name
from star_core.analysis.report.wording import shown_name
from star_core.analysis.run import pareto
from star_core.analysis.run.candidates import Candidate, candidate_of, candidates_of, vocab_size_of
from star_core.analysis.run.results import BYTES
from star_core.objectives.base import described
from star_core.objectives.perplexity import bits_per_byte
from star_core.population.comparison import Comparison
from star_core.population.generation import Generation

BITS = "bits"
USUAL = ("perplexity", BITS, "parameters", "cache_bytes")
"""Columns where the objectives are among them; other objectives need the room."""
HEADINGS = {"parameters": "params", "cache_bytes": "cache"}
LIVS_PER_LINE = 4
WIDTH_WITH_CLASSES = 96
"""Columns from which on the LIV classes are shown too."""


def front_table(generation: Generation, baselines: Comparison | None = None, width: int = 80) -> Table:
    """The front of a generation, lowest perplexity first, and the baselines below a rule.

    With one objective, where the front is one individual, the whole feasible population is shown.
    Genomes and class strings are folded at whole LIVs, never cut; a terminal narrower than
    ``WIDTH_WITH_CLASSES`` gets no class strings.

    Raises:
        StoreError: The generation's digests belong to another version of the compiler.
    """
    params, vocab_size = generation.params(), vocab_size_of(generation)
    names, length = params.objectives.selected, params.objectives.cache_length
    single = len(names) == 1
    members = pareto.front(generation.population, names)
    if single:
        members = tuple(
            individual
            for individual in generation.population
            if pareto.values_of(individual, names) is not None
        )
    shown = [candidate_of(individual, params, vocab_size) for individual in members]
    shown.sort(key=lambda candidate: (_key(candidate, names[0], length), candidate.name))
    compared = candidates_of(baselines, params, vocab_size) if baselines is not None else ()
    subject = "population" if single else "front"
    table = Table(
        title=f"{generation.run}: {subject} of generation {generation.index}",
        title_justify="left",
        title_style="bold",
        caption=f"cache and times at {length:,} tokens"
        + (", smallest of each column in bold" if shown else ""),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("name", no_wrap=True)
    table.add_column("genome", no_wrap=True)
    columns = columns_of(names)
    for name in columns:
        title = f"bits/\n{'byte' if vocab_size == BYTES else 'token'}" if name == BITS else heading_of(name)
        table.add_column(title, justify="right", no_wrap=True)
    if width >= WIDTH_WITH_CLASSES:
        table.add_column("classes", no_wrap=True)
    everyone = [*shown, *compared]
    least = {
        name: min(
            (v for candidate in everyone if (v := candidate.value(name, length)) is not None), default=None
        )
        for name in columns
    }
    for index, candidate in enumerate(everyone):
        if index == len(shown) and shown:
            table.add_section()
        cells = _row(candidate, length, least)[: len(table.columns)]
        table.add_row(*cells, style="dim" if index >= len(shown) else None)
    return table


def columns_of(names: Sequence[str]) -> tuple[str, ...]:
    """What is shown of candidates that were selected by objectives ``names``."""
    return USUAL if set(names) <= set(USUAL) else tuple(dict.fromkeys(("perplexity", *names)))


def heading_of(name: str) -> str:
    """An objective's title, a word a line."""
    return HEADINGS.get(name) or described(name).title.replace(" ", "\n")


def _key(candidate: Candidate, first: str, length: int) -> float:
    value = candidate.value("perplexity", length)
    value = candidate.value(first, length) if value is None else value
    return math.inf if value is None else value


def _row(candidate: Candidate, length: int, least: dict[str, float | None]) -> list[Text]:
    def measured(name: str) -> Text:
        if name == BITS:
            perplexity = candidate.value("perplexity", length)
            return Text(units.quality(None if perplexity is None else bits_per_byte(perplexity)))
        value = candidate.value(name, length)
        smallest = value is not None and value == least[name]
        return Text(described(name).text(value), style="bold" if smallest else "")

    return [
        Text(shown_name(candidate.name)),
        _folded(str(candidate.architecture.genome).split("-"), "-"),
        *map(measured, least),
        _folded([f"{short_name(layer.liv_class):<3}" for layer in candidate.architecture.layers], " "),
    ]


def _folded(words: Sequence[str], joint: str) -> Text:
    lines = (words[i : i + LIVS_PER_LINE] for i in range(0, len(words), LIVS_PER_LINE))
    return Text(f"{joint.rstrip()}\n".join(joint.join(line) for line in lines))
