"""The sections of the report that list: the front, retraining, outcomes, cost."""

from __future__ import annotations

from collections.abc import Sequence

from star_core import units
from star_core.analysis.drawing.markup import tag
from star_core.analysis.report.wording import shown_name, sizes, title_of, value_of
from star_core.analysis.run import outcomes
from star_core.analysis.run.candidates import Candidate
from star_core.analysis.run.nearest import in_words, nearest
from star_core.analysis.run.results import TRANSFORMER, Results

KNOWN = ("perplexity", "parameters", "cache_bytes")


def front_listing(results: Results) -> dict[str, object]:
    """Every member of the last front, and the baselines, with genome text."""
    others = [name for name in results.names if name not in KNOWN]
    return {
        "rows": [
            _front_row(results, candidate, others) for candidate in (*results.shown, *results.baselines)
        ],
        "baselines": len(results.baselines),
        "single": len(results.names) == 1,
        "unit": f"bits/{results.bits.unit}",
        "others": [title_of(name) for name in others],
        "cache_length": results.cache_length,
    }


def _front_row(results: Results, candidate: Candidate, others: Sequence[str]) -> list[object]:
    perplexity = results.value(candidate, "perplexity")
    row: list[object] = [
        shown_name(candidate.name),
        tag("code", str(candidate.architecture.genome)),
        value_of("perplexity", perplexity),
        units.quality(results.bits.of(perplexity)),
        *(value_of(name, results.value(candidate, name)) for name in others),
    ]
    for name in ("parameters", "cache_bytes"):
        value = results.value(candidate, name)
        row += [value_of(name, value), units.change(value, results.value(results.transformer, name))]
    return row


def nearest_listing(results: Results) -> dict[str, object] | None:
    """Who comes nearest to the constraints, where nobody meets them."""
    constraints = results.params.objectives.constraints
    rows = [
        (
            individual.id,
            tag("code", individual.genome),
            *(value_of(name, individual.objectives.get(name)) for name in results.names),
            in_words(individual, constraints),
        )
        for individual in nearest(results.last)
    ]
    return {"rows": rows, "names": [title_of(name) for name in results.names]} if rows else None


def retraining(results: Results) -> dict[str, object] | None:
    """The best trained longer, beside the baselines."""
    if not results.retrained:
        return None
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
                units.quality(results.bits.of(results.value(candidate, "perplexity"))),
                units.change(value, reference),
                *sizes(results, candidate),
            )
        )
    return {"rows": rows, "measure": title_of(results.quality), "unit": f"bits/{results.bits.unit}"}


def endings(results: Results) -> dict[str, object]:
    """How trainings ended, and which failed."""
    everyone = list(results.individuals.values())
    rows = [
        (_words(status), f"{number:,}", units.percent(number / len(everyone), 1))
        for status, number in outcomes.statuses(everyone).items()
    ]
    named = []
    for individual in filter(outcomes.has_failed, everyone):
        why = outcomes.reason_of(individual, results.evaluations) or units.MISSING
        named.append((individual.id, _words(individual.status), why, tag("code", individual.genome)))
    return {
        "rows": rows,
        "stopped": any(individual.status == outcomes.STOPPED for individual in everyone),
        "infeasible": any(individual.status == outcomes.INFEASIBLE for individual in everyone),
        "failed": named,
    }


def _words(status: str) -> str:
    return status.replace("_", " ")


def cost(results: Results) -> dict[str, object]:
    """Tokens and FLOPs from the files; seconds where the evaluation store still has them."""
    paid: dict[str, tuple[int, int]] = {}
    for individual in results.individuals.values():
        if individual.status == outcomes.INFEASIBLE:
            continue
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
    return {
        "rows": [_cost_row(results, title, group) for title, group in groups],
        "timed": bool(results.evaluations),
        "failed": results.progress[-1].failed,
    }


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
