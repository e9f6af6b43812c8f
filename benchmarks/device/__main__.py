"""What holds on a GPU, in minutes: one JSON file and one table.

    python -m benchmarks.device [--out device.json] [--minutes 8] [--device auto|gpu|cpu]
                                [--sections agreement,determinism,...] [--retry] [--corpus FILE]

Sections, in order of importance: agreement (every class against float64), determinism, product (star
evolve), memory (against the plan), speed (tokens/s, share of peak), pace (candidates a minute, decoding),
compiled (speed again through torch.compile). Every finished measurement is in the file at once and is not
made again; --retry measures again what failed. What does not fit into the time is left out and named. On a
CPU all of it runs at toy sizes, which says whether it runs and nothing else.

All is measured in a process of its own: after an error that takes the device along, or a crash, the next
process goes on behind it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.device.results import DEVICE_FAILED, Measured, Record, Results, Task, Value, measure

SECTIONS = {
    "machine": "The machine",
    "agreement": "Relative error to float64: forward, worst gradient, prefill, steps",
    "determinism": "The same training three times: same bits?",
    "product": "star evolve in an empty folder: founders and generation 1 with one worker, 2 with two",
    "memory": "Memory of a training step, measured and planned",
    "speed": "Training in bf16, eager",
    "pace": "Decoding one sequence, and candidates a minute of the default recipe",
    "compiled": "Training in bf16, compiled",
}
MODULES = {"compiled": ("speed", "compiled_tasks")}
"""Where a section's tasks are, if not in ``tasks`` of the module of its name."""
WIDTH, DEVICE_LOST = 100, 75
"""Columns of the table; exit code of a process whose device failed."""
START_SECONDS, END_SECONDS = 8.0, 5.0


def main() -> int:
    arguments = parse()
    if arguments.child:
        return child(arguments)
    deadline = time.time() + 60 * arguments.minutes
    results = Results(arguments.out)
    results.left_out = []
    if arguments.retry:
        results.forget_failures()
    results.write()
    finished = False
    while not finished and deadline - time.time() > START_SECONDS:
        finished = is_finished(arguments.out, deadline)
    results = Results(arguments.out)
    if not finished:
        results.left_out.append("all behind the last")
    print_tables(results)
    return 0


def is_finished(out: Path, deadline: float) -> bool:
    """Runs a process that measures; whether it came to its end.

    What a process was at when it died counts as failed.
    """
    command = [sys.executable, "-m", "benchmarks.device", *sys.argv[1:], "--child", str(deadline)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        code = process.wait(timeout=max(1.0, deadline - time.time() + END_SECONDS))
    except subprocess.TimeoutExpired:
        code = None
    finally:
        # Also what it has started: candidates, servers.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    results = Results(out)
    if results.begun:
        why = "the time was over" if code is None else f"its process died with {code}"
        results.end(Record(*results.begun, 0.0, error=why))
    elif code not in (0, None, DEVICE_LOST):
        raise SystemExit(f"the process that measures ended with {code} before it began")
    return code == 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("device.json"))
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("--sections", default=",".join(list(SECTIONS)[1:]))
    parser.add_argument("--retry", action="store_true", help="measure again what failed")
    parser.add_argument("--corpus", type=Path, help="text to train on; by default kjv, or made text")
    parser.add_argument("--child", type=float, metavar="DEADLINE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.sections = arguments.sections.split(",")
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no such sections: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if arguments.corpus and not arguments.corpus.is_file():
        parser.error(f"no such file: {arguments.corpus}")
    return arguments


def child(arguments: argparse.Namespace) -> int:
    """Measures what is not in the file yet."""
    # As the project sets it for its candidates; read when the first matrix product is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    from benchmarks.device.setting import GPU, TOY, device_name

    kind = arguments.device
    if kind == "auto":
        kind = "gpu" if torch.cuda.is_available() else "cpu"
    setting = replace(GPU if kind == "gpu" else TOY, corpus=arguments.corpus)
    torch.set_flush_denormal(True)
    torch.set_num_threads(setting.threads)
    device, results = device_name(kind), Results(arguments.out)
    for section in ("machine", *(name for name in SECTIONS if name in arguments.sections)):
        for task in tasks_of(section, setting):
            record = measure(results, device, section, task, arguments.child)
            if record is None:
                continue
            last = record.error.splitlines()[-1][:80] if record.error else "done"
            print(f"{section}: {record.name}, {record.seconds:.1f} s: {last}", flush=True)
            if DEVICE_FAILED in record.error:
                return DEVICE_LOST
    return 0


def tasks_of(section: str, setting: Any) -> Iterator[Task]:
    """What a section measures; if it cannot even be loaded, a task that says why."""
    if section == "machine":
        yield Task("machine", 1.0, partial(machine, setting))
        return
    module, function = MODULES.get(section, (section, "tasks"))
    try:
        found = getattr(importlib.import_module(f"benchmarks.device.{module}"), function)(setting)
    except ImportError as error:
        yield Task("import", 1.0, partial(refuse, error))
        return
    yield from found


def refuse(error: ImportError) -> Measured:
    raise error


def machine(setting: Any) -> Measured:
    """The device, and what torch does there unless told otherwise."""
    import torch

    from benchmarks.device.setting import device_name

    shown: dict[str, Value] = {
        "device": device_name(setting.kind),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    if setting.kind == "gpu":
        properties = torch.cuda.get_device_properties(0)
        shown["GiB"] = round(properties.total_memory / 2**30)
        shown["processors"] = properties.multi_processor_count
    with contextlib.suppress(Exception):
        from benchmarks.device.project import machine_fingerprint

        shown["project sees"] = machine_fingerprint("auto")["device"]
    return Measured(shown)


def print_tables(results: Results) -> None:
    """One table a section and device, at most ``WIDTH`` columns wide, and the failures below it."""
    order = list(SECTIONS)
    records = sorted(results.records, key=lambda r: (r.device, order.index(r.section)))
    for (device, section), group in groupby(records, key=lambda r: (r.device, r.section)):
        rows = list(group)
        print(f"\n{SECTIONS[section]} ({device})")
        alike: dict[tuple[str, ...], list[Record]] = {}
        for record in rows:
            if not record.error:
                alike.setdefault(tuple(record.shown), []).append(record)
        for same_columns in alike.values():
            print("\n".join(table(same_columns)))
        for record in rows:
            if record.error:
                print(textwrap.shorten(f"FAILED {record.name}: {record.error.splitlines()[-1]}", WIDTH))
    if any(record.error for record in records):
        print("\nFailures, from the last frame")
        by_reason = {record.error.splitlines()[-1]: record for record in records if record.error}
        for record in by_reason.values():
            print(f"{record.name}\n{textwrap.indent(record.error, '  ')}")
    took = sum(record.seconds for record in records)
    print(f"\n{len(records)} measurements, {took:.0f} s in all; {results.path}")
    if results.left_out:
        names = f"Left out for want of time; the same command goes on: {', '.join(results.left_out)}"
        print(textwrap.fill(names, WIDTH))


def table(rows: list[Record]) -> Iterator[str]:
    """Rows with the same columns; more columns than fit are put below one another."""
    columns = list(rows[0].shown)
    name = max(len(record.name) for record in rows)
    widths = {c: max(len(c), *(len(cell(r.shown[c])) for r in rows)) for c in columns}
    while columns:
        room, fitting = WIDTH - name, []
        while columns and (not fitting or widths[columns[0]] + 2 <= room):
            fitting.append(columns.pop(0))
            room -= widths[fitting[-1]] + 2
        yield (" " * name + "".join(f"  {c:>{widths[c]}}" for c in fitting))[:WIDTH]
        for record in rows:
            cells = "".join(f"  {cell(record.shown[c]):>{widths[c]}}" for c in fitting)
            yield f"{record.name:<{name}}{cells}"[:WIDTH].rstrip()


def cell(value: Value) -> str:
    """A value as text: three digits, whole numbers in full."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    sys.exit(main())
