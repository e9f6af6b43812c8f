"""The head of the report: the finding, and what was searched."""

from __future__ import annotations

from star_core import units
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.analysis.report.wording import headline, title_of, trade_off, value_of
from star_core.analysis.run.pareto import Progress
from star_core.analysis.run.results import Results
from star_core.population.generation import Generation


def head(results: Results) -> Markup:
    """Name of the run, the headline, what the front trades, and the facts."""
    notes = [tag("p", note) for note in (trade_off(results), *results.notes) if note]
    return tag(
        "header",
        tag("h1", "Architecture search ", tag("b", results.run)),
        tag("p", headline(results), class_="headline"),
        *notes,
        facts(results),
    )


def facts(results: Results) -> Markup:
    """What was searched, in a grid of names and values."""
    params, last = results.params, results.progress[-1]
    training = params.training
    volumes = f"{results.progress[0].hypervolume:.2f}"
    if len(results.progress) > 1:
        volumes += f" → {last.hypervolume:.2f}"
    source = params.data.source
    constraints = ", ".join(
        f"{title_of(name)} ≤ {value_of(name, limit)}" for name, limit in params.objectives.constraints.items()
    )
    entries = [
        ("Forked from", forked_from(results.generations[0])),
        ("Minimised", ", ".join(map(title_of, results.names))),
        ("Subject to", constraints),
        ("Search space", f"{params.space.preset}, {params.space.depth_in_words}"),
        ("Width", f"{params.model.width} channels"),
        ("Generations × population", f"{results.last.index} × {params.evolution.population}"),
        ("Algorithm, seed", f"{params.evolution.algorithm}, {params.evolution.seed}"),
        ("Candidates", _candidates(last)),
        ("Tokens per candidate", f"{training.tokens:,}"),
        ("Corpus", source if isinstance(source, str) else ", ".join(source)),
        ("Last front", units.plural(last.front_size, "individual")),
        ("Hypervolume", volumes),
    ]
    cells = [
        tag("div", tag("dt", name), tag("dd", value), class_="broad" if len(value) > 21 else None)
        for name, value in entries
        if value
    ]
    return tag("dl", join(cells), class_="facts")


def forked_from(first: Generation) -> str:
    """The generation a run was forked from, in words; empty if it has founders of its own."""
    parent = first.parent if first.is_fork else None
    return f"{parent.run}, generation {parent.index}" if parent else ""


def _candidates(last: Progress) -> str:
    stopped = f"{last.stopped:,} stopped early, " if last.stopped else ""
    return f"{last.evaluated:,} evaluated, {stopped}{last.failed:,} failed"
