"""The front of a generation beside the baselines, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from star_core import units
from star_core.analysis.motifs.motifs import short_name
from star_core.analysis.report.wording import shown_name
from star_core.analysis.run import pareto
from star_core.analysis.run.candidates import (
    Candidate,
    bits_of,
    candidate_of,
    candidates_of,
    vocab_size_of,
)
from star_core.analysis.run.nearest import in_words, nearest
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.config import Objectives
from star_core.objectives.base import described
from star_core.objectives.perplexity import Bits
from star_core.population.comparison import Comparison
from star_core.population.generation import Generation

BITS = "bits"
USUAL = ("perplexity", BITS, "parameters", "cache_bytes")
"""Columns where the objectives are among them; other objectives need the room."""
HEADINGS = {"parameters": "params", "cache_bytes": "cache"}


def front_table(generation: Generation, baselines: Comparison | None = None) -> TerminalTable:
    """The front of a generation, lowest perplexity first, and the baselines below a rule.

    With one objective, where the front is one individual, the whole feasible population is shown; where
    nobody meets the constraints, those that come nearest are, nearest first, with the limits they break.

    Raises:
        StoreError: The generation's digests belong to another version of the compiler.
    """
    params, vocab_size = generation.params(), vocab_size_of(generation)
    names, section = params.objectives.selected, params.objectives
    bits, single = bits_of(generation), len(names) == 1
    members = pareto.front(generation.population, names)
    if single:
        members = tuple(
            individual
            for individual in generation.population
            if pareto.values_of(individual, names) is not None
        )
    near = nearest(generation)
    over = {individual.id: in_words(individual, params.objectives.constraints) for individual in near}
    shown = [candidate_of(individual, params, vocab_size) for individual in members or near]
    if members:
        shown.sort(key=lambda candidate: (standing(candidate, names[0], section), candidate.name))
    compared = candidates_of(baselines, params, vocab_size) if baselines is not None else ()
    everyone, columns = [*shown, *compared], columns_of(names)
    least = least_of(everyone, columns, section, bits)
    short = {
        layer.liv_class.name: short_name(layer.liv_class)
        for candidate in everyone
        for layer in candidate.architecture.layers
    }
    subject = "nearest to the constraints" if near else "population" if single else "front"
    note = f"cache and times at {section.cache_length:,} tokens" + (
        ", smallest of each column in bold" if shown else ""
    )
    return TerminalTable(
        title=f"{generation.run}: {subject} of generation {generation.index}",
        columns=(
            Column("name", shown=shown_name),
            Column("genome", gives_way=2, below=True),
            *(measured(name, least[name], bits) for name in columns),
            Column(
                "classes",
                shown=lambda classes: " ".join(f"{short[name]:<3}" for name in classes),
                gives_way=1,
            ),
            *([Column("over the limits", below=True, prose=True, gives_way=3)] if near else []),
        ),
        rows=[
            (
                candidate.name,
                str(candidate.architecture.genome),
                *(value_at(candidate, name, section, bits) for name in columns),
                [layer.liv_class.name for layer in candidate.architecture.layers],
                *([over.get(candidate.name, "")] if near else []),
            )
            for candidate in everyone
        ],
        note=f"{note}; none meets the constraints" if near else note,
        styles=dict.fromkeys(range(len(shown), len(everyone)), "dim"),
        rules=frozenset({len(shown)} if shown and compared else ()),
    )


def columns_of(names: Sequence[str]) -> tuple[str, ...]:
    """What is shown of candidates that were selected by objectives ``names``."""
    return USUAL if set(names) <= set(USUAL) else tuple(dict.fromkeys(("perplexity", *names)))


def heading_of(name: str) -> str:
    """An objective's title, a word a line."""
    return HEADINGS.get(name) or described(name).title.replace(" ", "\n")


def least_of(
    candidates: Sequence[Candidate], columns: Sequence[str], section: Objectives, bits: Bits
) -> dict[str, float | None]:
    """The least value of each column; ``None`` where none is known."""
    known = {name: [value_at(candidate, name, section, bits) for candidate in candidates] for name in columns}
    return {
        name: min((value for value in values if value is not None), default=None)
        for name, values in known.items()
    }


def standing(candidate: Candidate, first: str, section: Objectives) -> float:
    """What candidates are listed by: perplexity, or the first objective where that is not known."""
    value = candidate.value("perplexity", section)
    value = candidate.value(first, section) if value is None else value
    return math.inf if value is None else value


def value_at(candidate: Candidate, name: str, section: Objectives, bits: Bits) -> float | None:
    """What stands in a column, its cache as ``section`` counts it."""
    if name != BITS:
        return candidate.value(name, section)
    return bits.of(candidate.value("perplexity", section))


def measured(name: str, least: float | None, bits: Bits) -> Column:
    """The column of an objective, its smallest value in bold."""
    if name == BITS:
        return Column(f"bits/\n{bits.unit}", f"bits_per_{bits.unit}", units.quality, right=True, gives_way=3)

    def shown(value: float) -> Text:
        return Text(described(name).text(value), "bold" if value == least else "")

    return Column(heading_of(name), name, shown, right=True)
