"""What was picked, for the terminal and for programs: the choice, who is next to it, what the limits cost."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import RenderableType
from rich.text import Text

from star_core import units
from star_core.analysis.report.wording import shown_name
from star_core.analysis.run.nearest import breaches, in_words
from star_core.analysis.run.pick import Pick
from star_core.analysis.terminal.front_table import BITS, heading_of, measured
from star_core.analysis.terminal.output import Output
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.objectives.base import described, excess
from star_core.objectives.bits_per_byte import BITS_PER_BYTE
from star_core.objectives.perplexity import PERPLEXITY, Bits


def picked(found: Pick, run: str, contenders: int, longer: Mapping[str, float], bits: Bits) -> Output:
    """The answer in a sentence, then candidates, then limits; exit code 1 where nobody is within them.

    Args:
        found: What can be had.
        run: Name of the run.
        contenders: Candidates it was picked from.
        longer: Name → what retraining made of the objective that counts.
        bits: How the run's perplexities are told in bits.
    """
    candidates, limits = _candidates(found, longer, bits), _limits(found)
    parts: list[RenderableType] = [Text(_sentence(found, run, contenders), "bold")]
    parts += [table for table in (candidates, limits) if table.rows]
    rows = candidates.records()
    data = {
        "run": run,
        "best": found.best,
        "candidates": contenders,
        "choice": found.choice,
        "front": rows if found.choice else [],
        "nearest": [] if found.choice else rows,
        "limits": [_price(found, name) for name in found.limits],
    }
    return Output(data, parts, 0 if found.choice else 1)


def _sentence(found: Pick, run: str, contenders: int) -> str:
    several, best = units.plural(contenders, "candidate"), described(found.best)
    if found.told is None:
        return f"{run}: no candidate was trained to the end."
    if found.choice is None:
        return f"{run}: none of {several} is within the limits, {found.told.id} comes nearest."
    value = best.text(found.choice.objectives[found.best])
    within = " within the limits" if found.limits else ""
    return f"{run}: {found.choice.id} has the best {best.title} of {several}{within}, {value}."


def _candidates(found: Pick, longer: Mapping[str, float], bits: Bits) -> TerminalTable:
    """The choice between its neighbours, or those that come nearest."""
    shown, best = found.front or found.nearest, described(found.best)
    retrained = {contender.id for contender in shown} & set(longer)
    titles = [described(name).title for name in found.names]
    in_bits = PERPLEXITY.name in found.names and BITS_PER_BYTE.name not in found.names
    chosen = [index for index, contender in enumerate(shown) if contender is found.choice]
    return TerminalTable(
        title="Next to it on the front" if found.choice else "The nearest",
        columns=(
            Column("name", shown=shown_name),
            Column("genome", gives_way=1, below=True),
            *(Column(heading_of(name), name, described(name).text, right=True) for name in found.names),
            *([measured(BITS, None, bits)] if in_bits else []),
            *([Column("retrained", shown=best.text, right=True)] if retrained else []),
            Column("over the limits", prose=True, gives_way=2, below=True),
        ),
        rows=[
            (
                contender.id,
                contender.genome,
                *(contender.objectives[name] for name in found.names),
                *([bits.of(contender.objectives[PERPLEXITY.name])] if in_bits else []),
                *([longer.get(contender.id)] if retrained else []),
                in_words(contender, found.limits),
            )
            for contender in shown
        ],
        note=f"front of all candidates by {', '.join(titles)}; the choice in bold" if found.choice else "",
        styles=dict.fromkeys(chosen, "bold"),
    )


def _price(found: Pick, name: str) -> dict[str, object]:
    """A limit for programs: what is there, and the best without it."""
    told, other, limit = found.told, found.without[name], found.limits[name]
    value = None if told is None else told.objectives[name]
    return {
        "name": name,
        "limit": limit,
        "value": value,
        "over": None if value is None else excess(value, limit) if value > limit else 0.0,
        "candidate_without": None if other is None else other.id,
        "best_without": None if other is None else other.objectives[found.best],
        "value_without": None if other is None else other.objectives[name],
    }


def _limits(found: Pick) -> TerminalTable:
    """What each limit costs."""
    rows, told = [], found.told
    for name, limit in found.limits.items():
        if told is None:
            break
        entry, value = described(name), told.objectives[name]
        over = "".join(f", {breach.over}" for breach in breaches({name: value}, {name: limit}))
        rows.append((entry.title, entry.text(limit), entry.text(value) + over, _without(found, name)))
    columns = (
        Column("limit"),
        Column("at most", right=True),
        Column(told.id if told else "", right=True),
        Column("without it", prose=True),
    )
    return TerminalTable(f"What limits cost, in {described(found.best).title}", columns, rows)


def _without(found: Pick, name: str) -> str:
    """Who would be chosen without a limit, how much better that is, and what it has there."""
    other, choice, best = found.without[name], found.choice, described(found.best)
    if other is None:
        return "nobody either"
    if other is choice:
        return "the same: it costs nothing"
    value = other.objectives[found.best]
    better = "" if choice is None else f" ({units.change(value, choice.objectives[found.best])})"
    return f"{best.text(value)}{better}: {other.id}, with {described(name).text(other.objectives[name])}"
