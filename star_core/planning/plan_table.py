"""A plan for people: a table of what is ahead, and the facts it rests on. Reads well in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from star_core import units
from star_core.config import Budget, Runtime
from star_core.planning.pace import Pace
from star_core.planning.plan import Passage, Plan, Stage
from star_core.structures.registered import families


def plan_parts(plan: Plan, runtime: Runtime) -> Iterator[RenderableType]:
    """The table, if anything is left, and the facts below it."""
    if not plan.left:
        made = f"Run {plan.run}: nothing is left to train up to generation {plan.last}."
        stages = [stage.title for stage in plan.stages]
        yield Text(made + (f" Still to be put together: {', '.join(stages)}." if stages else ""))
        return
    yield _table(plan)
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column()
    for name, text in (*_facts(plan, runtime), *_limits(plan)):
        facts.add_row(name, text)
    yield facts


def _table(plan: Plan) -> Table:
    table = Table(
        title=f"{plan.run}: candidates ahead up to generation {plan.last}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for name in ("all", "stored", "to train", "tokens", "FLOPs", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for retraining, command in ((False, "star evolve"), (True, "star retrain")):
        passages = list(plan.passages(retraining, Budget()))
        if not passages:
            continue
        groups = list(_grouped(passages))
        for group in groups:
            table.add_row(_title([passage.stage for passage in group]), *_cells(group))
        whole = plan.seconds(retraining, Budget())
        table.add_row(command, *_cells(passages)[:-1], units.duration(whole), style="bold", end_section=True)
    return table


def _grouped(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Passages as rows: those of generations whose candidates are not known yet are one."""
    later: list[Passage] = []
    for passage in passages:
        if passage.stage.known or passage.stage.retraining:
            yield [passage]
        else:
            later.append(passage)
    if later:
        yield later


def _title(stages: Sequence[Stage]) -> str:
    first, last = stages[0].title, stages[-1].title
    return first if len(stages) == 1 else f"{first.replace(' ', 's ', 1)}–{last.split()[-1]}"


def _cells(passages: Sequence[Passage]) -> list[str]:
    stages = [passage.stage for passage in passages]
    seconds = [passage.seconds for passage in passages]
    known = [value for value in seconds if value is not None]
    return [
        f"{sum(stage.candidates for stage in stages):,}",
        f"{sum(stage.stored for stage in stages):,}",
        f"{sum(stage.left for stage in stages):,}",
        units.count(sum(stage.left_tokens for stage in stages)),
        units.flops(sum(stage.left_flops for stage in stages)),
        units.duration(sum(known) if len(known) == len(seconds) else None),
    ]


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
