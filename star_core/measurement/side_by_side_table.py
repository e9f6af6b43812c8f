"""Models measured side by side, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from star_core import units
from star_core.analysis.terminal.output import Output
from star_core.analysis.terminal.table import Column, TerminalTable, whole
from star_core.measurement.side_by_side import (
    DECODE,
    PREFILL,
    Entry,
    Order,
    Row,
    SideBySide,
    ranks,
)
from star_core.measurement.table import listed

Kernels = Mapping[tuple[int, str], Mapping[str, int]]
"""Number of a genome and its runtime → kernel → how often it runs in a step."""


def side_by_side(found: SideBySide, kernels: Kernels) -> Output:
    """All rows in one table, then how alike runtimes order the genomes, then kernels if there are some."""
    orders = list(found.orders())
    section = found.rows[0].entry.section

    def data() -> object:
        return {
            "prompt_length": section.prompt_length,
            "cache_length": section.cache_length,
            "machine": found.machine,
            "flops_per_second": found.flops_per_second,
            "other_load": found.other_load,
            "measurements": [_record(found, row, kernels) for row in found.rows],
            "orders": [
                {
                    "time": order.of,
                    "runtime": order.first,
                    "against": order.second,
                    "tau": order.correlation.tau,
                    "low": order.correlation.low,
                    "high": order.correlation.high,
                }
                for order in orders
            ],
        }

    return Output(data, _parts(found, orders, kernels))


def _record(found: SideBySide, row: Row, kernels: Kernels) -> dict[str, object]:
    entry, section = row.entry, row.entry.section
    spec = entry.architecture
    return {
        "name": entry.name,
        "genome": str(spec.genome),
        "digest": spec.digest,
        "width": spec.width,
        "parameters": spec.num_parameters,
        "cache_bytes": spec.cache_bytes(section.cache_length),
        "runtime": entry.on,
        "threads": int(found.machine["threads"]),
        "metrics": dict(row.metrics),
        "at_best": {name: found.at_best(row, name) for name in (PREFILL, DECODE)},
        "kernels": kernels.get((entry.number, entry.on), {}),
    }


def _parts(found: SideBySide, orders: list[Order], kernels: Kernels) -> Iterator[RenderableType]:
    for row in next(iter(found.by_runtime().values())):
        yield from _legend(row.entry)
    yield _times(found)
    if orders:
        yield _orders(orders)
    for row in found.rows:
        if used := kernels.get((row.entry.number, row.entry.on)):
            yield Text(f"Kernels of a step, {row.entry.number} on {row.entry.on}: {listed(used)}.")
    yield _machine(found)
    if disturbed := max(row.disturbed for row in found.rows):
        yield Text(
            f"Others kept this machine busy: up to {units.percent(disturbed)} of the repeats had to wait for "
            "a processor. Do not trust the times; measure again when it is quiet.",
            "bold red",
        )


def _legend(entry: Entry) -> Iterator[RenderableType]:
    spec = entry.architecture
    yield whole(f"{entry.number}  {entry.name}", "bold")
    yield Text(
        f"   {units.plural(len(spec.layers), 'LIV')}, width {spec.width}, "
        f"{units.count(spec.num_parameters)} parameters, digest {spec.digest[:12]}"
    )


def _times(found: SideBySide) -> TerminalTable:
    groups, first = found.by_runtime(), found.rows[0]
    section, several = first.entry.section, len(groups) > 1
    rows: list[tuple[object, ...]] = []
    rules, styles = set[int](), dict[int, str]()
    for on, members in groups.items():
        if rows:
            rules.add(len(rows))
        for row, place in zip(members, ranks(members, DECODE), strict=True):
            if row.disturbed:
                styles[len(rows)] = "red"
            values: list[object] = [row.entry.number, on, place]
            for name in (PREFILL, DECODE):
                metrics = row.metrics
                values += [
                    (metrics[name], metrics[f"{name}_spread"]),
                    metrics[name] / first.metrics[name],
                    found.at_best(row, name),
                ]
            rows.append((*values, row.metrics["peak_memory_bytes"]))
    columns = [
        Column("", "number"),
        Column("runtime", gives_way=5, below=True),
        Column("place", right=True, gives_way=4),
    ]
    for name, title, goes in (
        (PREFILL, f"first token\nof {section.prompt_length:,}", 1),
        (DECODE, f"token behind\n{section.cache_length:,}", 2),
    ):
        columns += [
            Column(title, name, _noisy, right=True),
            Column("to\nfirst", f"{name}_ratio", "{:.2f} ×".format, right=True),
            Column("at\nbest", f"{name}_at_best", units.time, right=True, gives_way=goes),
        ]
    columns.append(Column("memory", "peak_memory_bytes", units.size, right=True, gives_way=3, below=True))
    shown = [index for index in range(len(columns)) if several or index not in (1, 2)]
    return TerminalTable(
        "" if several else f"{first.entry.on}, {_threads(found)}",
        [columns[index] for index in shown],
        [[row[index] for index in shown] for row in rows],
        styles=styles,
        rules=frozenset(rules),
        note="± is the spread of undisturbed repeats; place is by the time of a token."
        if several
        else "± is the spread of undisturbed repeats.",
    )


def _noisy(value: tuple[float, float]) -> str:
    seconds, spread = value
    return f"{units.time(seconds)} ±{units.percent(spread)}"


def _orders(orders: list[Order]) -> TerminalTable:
    pairs: dict[str, dict[str, str]] = {}
    for order in orders:
        pairs.setdefault(f"{order.first} – {order.second}", {})[order.of] = order.correlation.text
    columns = (
        Column("times on – and", "pair", prose=True),
        Column("token", DECODE, right=True),
        Column("first token", PREFILL, right=True, gives_way=1, below=True),
    )
    rows = [(pair, found[DECODE], found[PREFILL]) for pair, found in pairs.items()]
    return TerminalTable(
        "How alike they order the genomes: Kendall's τ, 95 % interval",
        columns,
        rows,
        note="1: the same order, 0: unrelated, −1: the opposite. Of few genomes no interval is sure.",
    )


def _threads(found: SideBySide) -> str:
    return units.plural(int(found.machine["threads"]), "thread")


def _machine(found: SideBySide) -> Text:
    machine = found.machine
    return Text(
        f"{machine['gpu'] or machine['processor']}; {_threads(found)} on "
        f"{units.plural(int(machine['cores']), 'core')}, {machine['instruction_set']}: "
        f"{found.flops_per_second / 1e9:.0f} GFLOP/s, "
        f"{max(row.metrics['bytes_per_second'] for row in found.rows) / 1e9:.1f} GB/s. "
        f"Others used {found.other_load:.1f} cores.",
        "dim",
    )
