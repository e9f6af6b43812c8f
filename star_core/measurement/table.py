"""A measurement for people: what it cost here, what the spec says, and what the machine allows at best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from rich.console import RenderableType
from rich.text import Text

from star_core import units
from star_core.analysis.terminal.output import Output
from star_core.analysis.terminal.table import Column, TerminalTable, whole
from star_core.architecture import Architecture
from star_core.config import Objectives
from star_core.evaluation import Evaluation
from star_core.measurement.sizes import weight_bytes
from star_core.objectives.flops import prefill_flops


def measurements(
    found: Iterable[tuple[Architecture, Evaluation]],
    section: Objectives,
    kernels: Mapping[str, int] = MappingProxyType({}),
) -> Output:
    """Architectures as they are measured, one after the other.

    Args:
        found: What was measured.
        section: Lengths and precision.
        kernels: Kernel → how often it runs in a step; empty: none are told.
    """

    def parts() -> Iterator[RenderableType]:
        for index, (architecture, evaluation) in enumerate(found):
            if index:
                yield Text()
            yield from measurement_parts(architecture, evaluation, section)
            if kernels:
                yield Text(f"Kernels of a step: {listed(kernels)}.")

    def data() -> object:
        return {
            "prompt_length": section.prompt_length,
            "cache_length": section.cache_length,
            "measurements": [
                {
                    "genome": str(architecture.genome),
                    "digest": architecture.digest,
                    "width": architecture.width,
                    "parameters": architecture.num_parameters,
                    "cache_bytes": architecture.cache_bytes(section.cache_length),
                    "metrics": evaluation.metrics,
                    "machine": evaluation.machine,
                    "kernels": dict(kernels),
                }
                for architecture, evaluation in found
            ],
        }

    return Output(data, parts())


def measurement_parts(
    architecture: Architecture, evaluation: Evaluation, section: Objectives
) -> Iterator[RenderableType]:
    """The genome, what it costs, what the spec says, the machine; a warning where that was not quiet."""
    weights = weight_bytes(architecture, section.weights)
    cache = architecture.cache_bytes(section.cache_length)
    prompt_flops = section.prompt_length * prefill_flops(architecture, section.prompt_length)
    token_flops = architecture.flops_per_token(section.cache_length)
    yield whole(architecture.genome, "bold")
    yield Text(
        f"{units.plural(len(architecture.layers), 'LIV')}, width {architecture.width}, "
        f"{units.count(architecture.num_parameters)} parameters, digest {architecture.digest[:12]}"
    )
    yield _costs(evaluation, section, (prompt_flops, token_flops), (weights, weights + cache))
    yield Text(
        f"From the spec: {units.flops(prompt_flops)} for the prompt; {units.flops(token_flops)} and "
        f"{units.size(weights + cache)} read for a token; {units.size(weights)} of weights, "
        f"{units.size(cache)} of cache."
    )
    yield _machine(evaluation)
    if disturbed := evaluation.metrics["disturbed"]:
        yield Text(
            f"Others kept this machine busy: {units.percent(disturbed)} of the repeats had to wait for a "
            "processor. Do not trust the times; measure again when it is quiet.",
            "bold red",
        )


def _costs(
    evaluation: Evaluation, section: Objectives, flops: tuple[float, float], num_bytes: tuple[int, int]
) -> TerminalTable:
    """The costs, beside what the machine's FLOP/s and memory bandwidth allow at best.

    Args:
        evaluation: What was measured.
        section: Lengths.
        flops: Of the prompt, and of a token.
        num_bytes: Read for the prompt (weights), and for a token (weights and cache).
    """
    metrics = evaluation.metrics
    titles = {
        f"first token of {section.prompt_length:,}": "prefill_seconds",
        f"token behind {section.cache_length:,}": "decode_seconds_per_token",
    }
    rows: list[tuple[object, ...]] = []
    for (title, name), work, read in zip(titles.items(), flops, num_bytes, strict=True):
        floor = max(work / metrics["flops_per_second"], read / metrics["bytes_per_second"])
        rows.append(
            (
                title,
                units.time(metrics[name]),
                f"{units.time(metrics[f'{name}_low'])} – {units.time(metrics[f'{name}_high'])}",
                units.percent(metrics[f"{name}_spread"], 1),
                units.time(floor),
                units.percent(floor / metrics[name]),
            )
        )
    rows.append(("tokens per second", units.count(1 / metrics["decode_seconds_per_token"]), "", "", "", ""))
    held = metrics["peak_memory_bytes"]
    share = units.percent(num_bytes[1] / held) if held > 0 else units.MISSING
    rows.append(("peak memory", units.size(held), "", "", units.size(num_bytes[1]), share))
    columns = (
        Column(""),
        Column("here", right=True),
        Column("10–90 %", right=True, gives_way=2),
        Column("spread", right=True, gives_way=1),
        Column("at best", right=True),
        Column("of that", right=True),
    )
    return TerminalTable("", columns, rows)


def _machine(evaluation: Evaluation) -> Text:
    machine, metrics = evaluation.machine, evaluation.metrics
    runtime = machine.get("runtime", f"torch {machine['torch']}, f32")
    return Text(
        f"{machine['gpu'] or machine['processor']}; {units.plural(int(machine['threads']), 'thread')} on "
        f"{units.plural(int(machine['cores']), 'core')}, {machine['instruction_set']}, {runtime}: "
        f"{metrics['flops_per_second'] / 1e9:.0f} GFLOP/s, "
        f"{metrics['bytes_per_second'] / 1e9:.1f} GB/s. Others used {metrics['other_load']:.1f} cores.",
        "dim",
    )


def listed(kernels: Mapping[str, int]) -> str:
    """Kernels and how often each runs, in a line."""
    return ", ".join(f"{name} {count}" for name, count in kernels.items())
