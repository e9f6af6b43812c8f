"""Several models measured side by side: what was measured, and what the machine allows at best."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from star_core.analysis.run.rank_correlation import Correlation, correlation
from star_core.architecture import Architecture
from star_core.config import Objectives, Params
from star_core.measurement.sizes import read_bytes, weight_bytes
from star_core.objectives.flops import prefill_flops
from star_core.objectives.runtimes import runtime

PREFILL, DECODE = "prefill_seconds", "decode_seconds_per_token"
FEWEST = 3
"""Genomes from which on orders are compared."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A genome on a runtime.

    Attributes:
        number: Of the genome, from 1.
        name: As the user named it.
        architecture: Its spec.
        params: Lengths, runtime and precision.
    """

    number: int
    name: str
    architecture: Architecture
    params: Params

    @property
    def section(self) -> Objectives:
        """Lengths, runtime and precision."""
        return self.params.objectives

    @property
    def on(self) -> str:
        """Runtime, version and precision."""
        chosen = runtime(self.section.runtime, self.section.weights)
        return f"{chosen.name} {re.split('[-+]', chosen.version)[0]}, {self.section.weights}"


@dataclass(frozen=True, slots=True)
class Row:
    """An entry and its metrics (``star_core.measurement.turns``)."""

    entry: Entry
    metrics: Mapping[str, float]

    @property
    def disturbed(self) -> float:
        """The largest share of a timing's repeats that others disturbed."""
        return max(self.metrics[f"{name}_disturbed"] for name in (PREFILL, DECODE))


@dataclass(frozen=True, slots=True)
class Order:
    """How alike two quantities order the genomes.

    Attributes:
        of: Time that is ordered.
        first: Runtime on which it was measured.
        second: Another runtime, or what the spec says.
        correlation: Kendall's τ.
    """

    of: str
    first: str
    second: str
    correlation: Correlation


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Entries that took turns.

    Attributes:
        rows: Genome by genome on one runtime, then on the next.
        flops_per_second: Of the machine, at best.
        other_load: Cores that others used meanwhile.
        machine: Its fingerprint.
    """

    rows: tuple[Row, ...]
    flops_per_second: float
    other_load: float
    machine: Mapping[str, Any]

    def at_best(self, row: Row, name: str) -> float:
        """Seconds that the machine's FLOP/s and memory bandwidth allow at best."""
        section, spec = row.entry.section, row.entry.architecture
        if name == PREFILL:
            work = section.prompt_length * prefill_flops(spec, section.prompt_length)
            read = weight_bytes(spec, section.weights)
        else:
            work = spec.flops_per_token(section.cache_length)
            read = read_bytes(spec, section.weights, section.cache_length)
        return max(work / self.flops_per_second, read / row.metrics["bytes_per_second"])

    def by_runtime(self) -> dict[str, list[Row]]:
        """Runtime → its rows, genome by genome."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.entry.on, []).append(row)
        return found

    def orders(self) -> Iterator[Order]:
        """Each runtime's times against every other's, and against FLOPs and cache; of few genomes, none."""
        groups = self.by_runtime()
        specs = [row.entry.architecture for row in next(iter(groups.values()))]
        if len(specs) < FEWEST:
            return
        section = self.rows[0].entry.section
        cache = [float(spec.cache_bytes(section.cache_length)) for spec in specs]
        for name in (DECODE, PREFILL):
            times = {on: [row.metrics[name] for row in rows] for on, rows in groups.items()}
            for first, second in combinations(times, 2):
                yield Order(name, first, second, correlation(times[first], times[second], FEWEST))
            flops = [
                prefill_flops(spec, section.prompt_length)
                if name == PREFILL
                else float(spec.flops_per_token(section.cache_length))
                for spec in specs
            ]
            for on, values in times.items():
                yield Order(name, on, "FLOPs", correlation(values, flops, FEWEST))
                yield Order(name, on, "cache bytes", correlation(values, cache, FEWEST))


def ranks(rows: Sequence[Row], name: str) -> list[int]:
    """Place of each row among the fastest, from 1."""
    order = sorted(range(len(rows)), key=lambda index: rows[index].metrics[name])
    return [order.index(index) + 1 for index in range(len(rows))]
