"""The sections of the report that list: the front, retraining, outcomes, cost, reproduction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

from star_core import units
from star_core.analysis.drawing.markup import Markup, join, tag
from star_core.analysis.report.wording import shown_name, sizes, title_of, token_unit, value_of
from star_core.analysis.run import outcomes
from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.results import TRANSFORMER, Results
from star_core.objectives.perplexity import bits_per_byte

KNOWN = ("perplexity", "parameters", "cache_bytes")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers are set to the right."""

    title: str
    number: bool = False


def listing(columns: Sequence[Column], rows: Iterable[Sequence[object]], quiet: int = 0) -> Markup:
    """A table; its last ``quiet`` rows are references and set back."""
    body = list(rows)
    head = join(tag("th", column.title, class_="n" if column.number else None) for column in columns)
    written = []
    for index, row in enumerate(body):
        cells = (
            tag("td", cell, class_="n" if column.number else None)
            for column, cell in zip(columns, row, strict=True)
        )
        kind = "base" if index >= len(body) - quiet else "rule" if index == len(body) - quiet - 1 else None
        written.append(tag("tr", join(cells), class_=kind))
    return tag("table", tag("thead", tag("tr", head)), tag("tbody", join(written)))


def front_listing(results: Results) -> Markup:
    """Every member of the last front, and the baselines, with genome text."""
    others = [name for name in results.names if name not in KNOWN]
    columns = [
        Column("individual"),
        Column("genome"),
        Column("perplexity", True),
        Column(token_unit(results), True),
        *(Column(title_of(name), True) for name in others),
        Column("parameters", True),
        Column("vs T++", True),
        Column(f"cache at {results.cache_length:,}", True),
        Column("vs T++", True),
    ]
    shown = [*results.shown, *results.baselines]
    table = listing(
        columns, [_front_row(results, candidate, others) for candidate in shown], quiet=len(results.baselines)
    )
    single = len(results.names) == 1
    note = "vs T++: relative to Transformer++ of the same depth and width."
    if not results.baselines:
        note += " The baselines were not trained; its sizes follow from its genome."
    return tag(
        "section",
        tag("h2", "The last population" if single else "The last front"),
        tag("div", table, class_="wide"),
        tag("p", note, class_="soft"),
    )


def _front_row(results: Results, candidate: Candidate, others: Sequence[str]) -> list[object]:
    perplexity = results.value(candidate, "perplexity")
    row: list[object] = [
        shown_name(candidate.name),
        tag("code", str(candidate.architecture.genome)),
        value_of("perplexity", perplexity),
        units.quality(None if perplexity is None else bits_per_byte(perplexity)),
        *(value_of(name, results.value(candidate, name)) for name in others),
    ]
    for name in ("parameters", "cache_bytes"):
        value = results.value(candidate, name)
        row += [value_of(name, value), units.change(value, results.value(results.transformer, name))]
    return row


def retraining(results: Results) -> Markup:
    """The best trained longer, beside the baselines."""
    if not results.retrained:
        return Markup()
    briefly = {baseline.name: baseline for baseline in results.baselines} | results.candidates
    long = {candidate.name: results.value(candidate, results.quality) for candidate in results.retrained}
    reference = long.get(TRANSFORMER)
    rows = []
    for candidate in results.retrained:
        value = long[candidate.name]
        short = results.value(briefly[candidate.name], results.quality) if candidate.name in briefly else None
        rows.append(
            (
                shown_name(candidate.name),
                f"{candidate.tokens:,}",
                value_of(results.quality, short),
                value_of(results.quality, value) if candidate.ok else "failed",
                units.change(value, reference),
                *sizes(results, candidate),
            )
        )
    measure = title_of(results.quality)
    columns = [
        Column("architecture"),
        Column("tokens", True),
        Column(f"{measure} in the search", True),
        Column(f"{measure} retrained", True),
        Column("vs T++", True),
        Column("parameters", True),
        Column("cache", True),
    ]
    return tag("section", tag("h2", "Trained longer"), tag("div", listing(columns, rows), class_="wide"))


def endings(results: Results) -> Markup:
    """How trainings ended, and which failed."""
    everyone = list(results.individuals.values())
    rows = [
        (_words(status), f"{number:,}", units.percent(number / len(everyone), 1))
        for status, number in outcomes.statuses(everyone).items()
    ]
    columns = [Column("outcome"), Column("candidates", True), Column("share", True)]
    states = tag("div", listing(columns, rows), class_="narrow")
    if any(individual.status == outcomes.STOPPED for individual in everyone):
        note = (
            "Stopped: measured at a rung of successive halving and not continued, because others did better. "
            "That is no failure, but what they reached is of fewer tokens and is compared with nothing here."
        )
        states = join((states, tag("p", note, class_="soft")))
    failed = [individual for individual in everyone if outcomes.has_failed(individual)]
    if failed:
        named = []
        for individual in failed:
            evaluation = results.evaluations.get(individual.key)
            why = evaluation.detail if evaluation else units.MISSING
            named.append((individual.id, _words(individual.status), why, tag("code", individual.genome)))
        columns = [Column("individual"), Column("outcome"), Column("why"), Column("genome")]
        which = tag("div", listing(columns, named), class_="wide")
        states = join((states, tag("details", tag("summary", "Which failed"), which)))
    return tag("section", tag("h2", "How trainings ended"), states)


def _words(status: str) -> str:
    return status.replace("_", " ")


def cost(results: Results) -> Markup:
    """Tokens and FLOPs from the files; seconds where the evaluation store still has them."""
    paid: dict[str, tuple[int, int]] = {}
    for individual in results.individuals.values():
        paid.setdefault(individual.key, (individual.cost.tokens, individual.cost.flops))
    groups: list[tuple[str, dict[str, tuple[int, int]]]] = [("search", paid)]
    length = results.params.training.sequence_length
    larger = tuple(candidate for scaled in results.scaled for candidate in scaled.candidates)
    for title, members in (
        ("baselines", results.baselines),
        ("longer training", results.retrained),
        ("other sizes", larger),
    ):
        if members:
            spent = {
                candidate.key: (
                    candidate.tokens,
                    candidate.architecture.training_flops(candidate.tokens, length),
                )
                for candidate in members
            }
            groups.append((title, spent))
    if len(groups) > 1:
        groups.append(("together", {key: value for _, group in groups for key, value in group.items()}))
    rows = [_cost_row(results, title, group) for title, group in groups]
    titles = ("candidates", "tokens", "training FLOPs", "candidate time")
    columns = [Column(""), *(Column(title, True) for title in titles)]
    note = "FLOPs follow from the architectures. "
    if results.evaluations:
        note += "Time adds up over candidates, also those trained side by side."
    else:
        note += "No evaluation store was at hand, so times are not known."
    if results.progress[-1].failed:
        note += " A failed candidate counts with its whole recipe."
    return tag(
        "section",
        tag("h2", "Cost"),
        tag("div", listing(columns, rows), class_="wide"),
        tag("p", note, class_="soft"),
    )


def _cost_row(results: Results, title: str, group: dict[str, tuple[int, int]]) -> Sequence[str]:
    found = [results.evaluations[key] for key in group if key in results.evaluations]
    time = units.duration(outcomes.total_seconds(found))
    if found and len(found) < len(group):
        time += f" ({len(found)} of {len(group)} known)"
    tokens = sum(tokens for tokens, _ in group.values())
    return (
        title,
        f"{len(group):,}",
        f"{tokens:,}",
        units.flops(sum(flops for _, flops in group.values())),
        time,
    )


def reproduction(results: Results) -> Markup:
    """Commands, digests and parameters."""
    run, last = results.run, results.last
    commands = (
        f"star reproduce {run} --generation {last.index}   # trains it again from its parent and compares\n"
        f"star resume {run} --generations {last.index + 2}   # goes on\n"
        f"dvc repro   # every stage whose inputs changed"
    )
    digests = (
        f"generation {last.index}   {last.digest}\n"
        f"corpus         {last.data_digest}\n"
        f"search         version {last.semantics}"
    )
    parameters = yaml.safe_dump(last.parameters, sort_keys=False, allow_unicode=True)
    return tag(
        "section",
        tag("h2", "Reproduce"),
        tag("p", "A generation follows from its parent, the parameters, the corpus and the seed alone."),
        tag("pre", commands),
        tag("pre", digests),
        tag("details", tag("summary", "Parameters"), tag("pre", parameters)),
    )
