"""Tables for the terminal: the front of a generation beside the baselines, in 80 columns or 96."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from star_core.analysis import pareto, units
from star_core.analysis.candidates import Candidate, candidate_of, candidates_of, vocab_size_of
from star_core.analysis.motifs import short_name
from star_core.analysis.results import BYTES
from star_core.analysis.wording import shown_name
from star_core.objectives.perplexity import bits_per_byte
from star_core.population.comparison import Comparison
from star_core.population.generation import Generation

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
        members = tuple(one for one in generation.population if pareto.values_of(one, names) is not None)
    shown = [candidate_of(one, params, vocab_size) for one in members]
    shown.sort(key=lambda one: (_key(one, names[0], length), one.name))
    compared = candidates_of(baselines, params, vocab_size) if baselines is not None else ()
    subject = "population" if single else "front"
    table = Table(
        title=f"{generation.run}: {subject} of generation {generation.index}",
        title_justify="left",
        title_style="bold",
        caption=f"cache at {length:,} tokens" + (", smallest of each column in bold" if shown else ""),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("name", no_wrap=True)
    table.add_column("genome", no_wrap=True)
    table.add_column("perplexity", justify="right", no_wrap=True)
    table.add_column("bits/\nbyte" if vocab_size == BYTES else "bits/\ntoken", justify="right", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("cache", justify="right", no_wrap=True)
    if width >= WIDTH_WITH_CLASSES:
        table.add_column("classes", no_wrap=True)
    everyone = [*shown, *compared]
    least = {
        name: min((v for one in everyone if (v := one.value(name, length)) is not None), default=None)
        for name in ("perplexity", "parameters", "cache_bytes")
    }
    for index, one in enumerate(everyone):
        if index == len(shown) and shown:
            table.add_section()
        cells = _row(one, length, least)[: len(table.columns)]
        table.add_row(*cells, style="dim" if index >= len(shown) else None)
    return table


def _key(one: Candidate, first: str, length: int) -> float:
    value = one.value("perplexity", length)
    value = one.value(first, length) if value is None else value
    return math.inf if value is None else value


def _row(one: Candidate, length: int, least: dict[str, float | None]) -> list[Text]:
    def measured(name: str) -> Text:
        value = one.value(name, length)
        smallest = value is not None and value == least[name]
        return Text(units.value_of(name, value), style="bold" if smallest else "")

    perplexity = one.value("perplexity", length)
    bits = units.quality(None if perplexity is None else bits_per_byte(perplexity))
    return [
        Text(shown_name(one.name)),
        _folded(str(one.architecture.genome).split("-"), "-"),
        measured("perplexity"),
        Text(bits),
        measured("parameters"),
        measured("cache_bytes"),
        _folded([f"{short_name(layer.liv_class):<3}" for layer in one.architecture.layers], " "),
    ]


def _folded(words: Sequence[str], joint: str) -> Text:
    lines = (words[i : i + LIVS_PER_LINE] for i in range(0, len(words), LIVS_PER_LINE))
    return Text(f"{joint.rstrip()}\n".join(joint.join(line) for line in lines))
