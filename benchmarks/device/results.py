"""Finished measurements in one JSON file, and the time that is left for others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FRAMES = 6
"""Last lines of a traceback that are kept."""
SLACK = 2.0
"""Times its expected seconds that a measurement may take before it is given up."""

DEVICE_FAILED = "CUDA error"
"""In the message of an error after which a process gets nothing more from its device."""

Value = str | int | float | None


class OverTime(Exception):  # noqa: N818
    """A measurement took far longer than expected, or the time of all is over."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a measurement.

    Attributes:
        shown: By column of the table.
        more: What is kept in the file only.
    """

    shown: Mapping[str, Value]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement.

    Attributes:
        name: Unique in its section.
        seconds: That it takes at most, about.
        work: Makes it.
    """

    name: str
    seconds: float
    work: Callable[[], Measured]


@dataclass(frozen=True, slots=True)
class Record:
    """One finished measurement: of which device, section and name, and what came of it.

    Attributes:
        device: Name of the device.
        section: Of the benchmark.
        name: Of the measurement.
        seconds: It took.
        shown, more: As measured; empty if it failed.
        error: Why it failed, the last lines of its traceback; empty if it did not.
    """

    device: str
    section: str
    name: str
    seconds: float
    shown: Mapping[str, Value] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


class Results:
    """The file, written whole after every measurement.

    Attributes:
        records: One for each measurement of each device.
        begun: Device, section and name of the measurement that is being made.
        left_out: Section and name of what did not fit into the time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = json.loads(path.read_text()) if path.exists() else {}
        self.records = [Record(**plain) for plain in found.get("records", [])]
        self.begun: list[str] = found.get("begun", [])
        self.left_out: list[str] = found.get("left_out", [])

    def find(self, device: str, section: str, name: str) -> Record | None:
        """The record of a measurement, if it was made."""
        key = device, section, name
        return next((r for r in self.records if (r.device, r.section, r.name) == key), None)

    def begin(self, device: str, section: str, name: str) -> None:
        """Notes that a measurement begins, for whoever finds this process dead."""
        self.begun = [device, section, name]
        self.write()

    def end(self, record: Record) -> None:
        """Appends the record of the measurement that began last."""
        self.begun = []
        self.records.append(record)
        self.write()

    def forget_failures(self) -> None:
        """Drops what failed, so that it is measured again."""
        self.records = [record for record in self.records if not record.error]
        self.write()

    def write(self) -> None:
        """Replaces the file."""
        records = [asdict(record) for record in self.records]
        content = {"records": records, "begun": self.begun, "left_out": self.left_out}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(f".{self.path.name}.tmp")
        new.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(new, self.path)


def measure(results: Results, device: str, section: str, task: Task, deadline: float) -> Record | None:
    """Makes one measurement, if it is not in the file yet and fits before ``deadline`` (Unix time).

    Returns:
        Its record, in the file by then; ``None`` if it was not made.
    """
    if results.find(device, section, task.name):
        return None
    left = deadline - time.time()
    if task.seconds > left:
        results.left_out.append(f"{section}: {task.name}")
        results.write()
        return None
    results.begin(device, section, task.name)
    began = time.perf_counter()
    shown: Mapping[str, Value] = {}
    more: Mapping[str, Any] = {}
    error = ""
    try:
        with at_most(min(left, SLACK * task.seconds + 10)):
            measured = task.work()
        shown, more = dict(measured.shown), dict(measured.more)
    except Exception as failure:
        error = told(failure)
    record = Record(device, section, task.name, round(time.perf_counter() - began, 2), shown, more, error)
    results.end(record)
    return record


def told(error: BaseException) -> str:
    """The last lines of a traceback, the error itself the last of them and cut to one line."""
    last = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    frames = traceback.format_tb(error.__traceback__)[-FRAMES // 2 :]
    lines = [line for frame in frames for line in frame.rstrip().splitlines()[:2]]
    return "\n".join([*lines, last])


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises ``OverTime`` in a block that takes longer; what waits in a device's driver cannot be ended."""

    def end(*_: object) -> None:
        raise OverTime(f"more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
