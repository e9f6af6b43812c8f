"""A plan for people: a table of what is ahead, and the facts it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.text import Text

from star_core import units
from star_core.analysis.terminal.output import Output
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.config import Budget, Runtime
from star_core.planning.pace import Pace
from star_core.planning.plan import Passage, Plan, Stage
from star_core.structures.registered import families

_COMMANDS = {"star evolve": False, "star retrain": True}
"""Command → whether it is the retraining."""


def planned(plan: Plan, runtime: Runtime) -> Output:
    """The table, if anything is left, and the facts below it; all of it for programs."""
    if not plan.left:
        made = f"Run {plan.run}: nothing is left to train up to generation {plan.last}."
        stages = [stage.title for stage in plan.stages]
        rest = f" Still to be put together: {', '.join(stages)}." if stages else ""
        return Output(_record(plan, []), [Text(made + rest)])
    table = _table(plan)
    facts = TerminalTable("", (Column(""), Column("", prose=True)), [*_facts(plan, runtime), *_limits(plan)])
    return Output(_record(plan, table.records()), [table, facts])


def _record(plan: Plan, rows: list[dict[str, object]]) -> dict[str, object]:
    ended = {command: list(plan.passages(retraining)) for command, retraining in _COMMANDS.items()}
    for row in rows:
        if isinstance(times := row["seconds"], tuple):
            row["seconds_low"], row["seconds"], row["seconds_high"] = times
    return {
        "run": plan.run,
        "last_generation": plan.last,
        "rows": rows,
        "candidates_left": plan.left,
        "workers": plan.workers,
        "start_seconds": plan.start,
        "budget": plan.budget.model_dump(mode="json"),
        "tokens_trained": plan.trained,
        "flops_of_a_candidate": plan.expected,
        "memory_bytes": plan.memory,
        "disk_bytes": plan.disk,
        "pace": plan.pace,
        "ends": {
            command: {"stage": found[-1].stage.title, "begun": found[-1].begun, "limit": found[-1].limit}
            for command, found in ended.items()
            if found
        },
    }


def _table(plan: Plan) -> TerminalTable:
    rows: list[tuple[object, ...]] = []
    styles, rules = {}, set()
    for command, retraining in _COMMANDS.items():
        plans = plan.in_range()
        courses = [list(each.passages(retraining, Budget())) for each in plans]
        if not courses[0]:
            continue
        if rows:
            rules.add(len(rows))
        for group in _grouped(courses[0]):
            times = [_seconds(course[group.start : group.stop]) for course in courses]
            stages = [passage.stage for passage in courses[0][group.start : group.stop]]
            rows.append((_title(stages), *_counts(stages), _range(times)))
        styles[len(rows)] = "bold"
        whole = _range([each.seconds(retraining, Budget()) for each in plans])
        rows.append((command, *_counts([passage.stage for passage in courses[0]]), whole))
    columns = (
        Column("", "stage"),
        *(Column(name, shown="{:,}".format, right=True) for name in ("all", "stored", "to train")),
        Column("tokens", shown=units.count, right=True),
        Column("FLOPs", "flops", units.flops, right=True, gives_way=1),
        Column("time", "seconds", _from_to, right=True),
    )
    title = f"{plan.run}: candidates ahead up to generation {plan.last}"
    return TerminalTable(title, columns, rows, styles=styles, rules=frozenset(rules))


def _grouped(passages: Sequence[Passage]) -> Iterator[range]:
    """Places of the passages of each row; the last generations, of unknown candidates, are one."""
    known = [passage.stage.known or passage.stage.retraining for passage in passages]
    first = known.index(False) if False in known else len(known)
    yield from (range(place, place + 1) for place in range(first))
    if first < len(known):
        yield range(first, len(known))


def _title(stages: Sequence[Stage]) -> str:
    first, last = stages[0].title, stages[-1].title
    return first if len(stages) == 1 else f"{first.replace(' ', 's ', 1)}–{last.split()[-1]}"


def _counts(stages: Sequence[Stage]) -> list[float]:
    return [
        sum(stage.candidates for stage in stages),
        sum(stage.stored for stage in stages),
        sum(stage.left for stage in stages),
        sum(stage.left_tokens for stage in stages),
        sum(stage.left_flops for stage in stages),
    ]


def _seconds(passages: Sequence[Passage]) -> float | None:
    known = [passage.seconds for passage in passages if passage.seconds is not None]
    return sum(known) if len(known) == len(passages) else None


def _range(seconds: Sequence[float | None]) -> tuple[float, float, float] | None:
    """Seconds if trainings are quick, as expected, and slow; ``None`` if no pace is known."""
    low, expected, high = seconds
    return None if low is None or expected is None or high is None else (low, expected, high)


def _from_to(seconds: tuple[float, float, float]) -> str:
    low, high = units.duration(seconds[0]), units.duration(seconds[2])
    return low if low == high else f"{low} – {high}"


def _facts(plan: Plan, runtime: Runtime) -> Iterator[tuple[str, str]]:
    if plan.expected:
        least, most = (units.flops(float(value)) for value in np.quantile(plan.expected, (0.1, 0.9)))
        mean = units.flops(sum(plan.expected) / len(plan.expected))
        yield "a candidate", f"{mean} to train, eight of ten {least} to {most}: {plan.source}"
    pace = plan.pace
    if pace is None:
        yield "time", "not known: nothing was measured here with this recipe"
    else:
        low, high = pace.spread
        yield (
            "time",
            f"{plan.workers} at once, {plan.start:.0f} s to start; single ones took {low:.2g} to {high:.2g} "
            f"times what is expected. From {pace.source}",
        )
        yield "pace", _rates(pace)
    if plan.over:
        yield "limits", f"{units.plural(plan.over, 'candidate')} of the next generation over one, not trained"
    if plan.probed:
        yield (
            "besides",
            f"{', '.join(plan.probed)}: measured of each candidate, some seconds that are not counted",
        )
    size = f"{units.size(plan.memory)} for each of {units.plural(plan.workers, 'candidate')} at once"
    yield "memory", f"about {size}, beside the loaded libraries, of {runtime.memory_mib:,} MiB allowed"
    yield "disk", f"about {units.size(plan.disk)}"


def _rates(pace: Pace) -> str:
    """Throughput, and what it comes from: at these sizes operations cost more than FLOPs."""
    rates = [
        f"{family.name} {1e3 * rate:.3g}" for family, rate in zip(families(), pace.rates, strict=True) if rate
    ]
    text = f"{units.flops(pace.throughput)}/s in the median"
    if rates:
        text += f"; ms a LIV and step: {', '.join(rates)}"
    if pace.flop:
        text += f"; beside, {units.flops(1 / pace.flop)}/s"
    return f"{text}; {pace.candidate:.2g} s a candidate"


def _limits(plan: Plan) -> Iterator[tuple[str, str]]:
    """What each limit of the budget will do, and which of them ends the run."""
    tokens, seconds = plan.budget.tokens, plan.budget.seconds
    if tokens is not None:
        needed = plan.trained + sum(stage.left_tokens for stage in plan.part(retraining=False))
        verdict = "" if tokens >= needed else _ending(plan, Budget(tokens=tokens))
        yield (
            "budget.tokens",
            f"{tokens:,} for the run, {plan.trained:,} trained, {needed:,} needed: {verdict or 'enough'}",
        )
    if seconds is not None:
        limits = Budget(seconds=seconds)
        verdict = "cannot be told without a pace" if plan.pace is None else _ending(plan, limits) or "enough"
        yield "budget.seconds", f"{seconds:,.0f} for a call: {verdict}"
    if tokens is None and seconds is None:
        yield "budget", f"none: the run ends with generation {plan.last}"
        return
    ends = _ending(plan, plan.budget) or f"ends with generation {plan.last}"
    yield "the run", ends + (", unless the seconds end it before" if seconds and plan.pace is None else "")


def _ending(plan: Plan, budget: Budget) -> str:
    """Where the limits end the run, or (if they let it be) the retraining; empty if they end neither."""
    for retraining in (False, True):
        found = list(plan.passages(retraining, budget))
        if found and (limit := found[-1].limit):
            begun, stage = found[-1].begun, found[-1].stage
            about = "about " if limit == "seconds" else ""
            at = f"after {about}{begun} of {units.plural(stage.left, 'candidate')}"
            return f"{limit} end it in {stage.title}, {at if begun else 'before the first candidate'}"
    return ""
