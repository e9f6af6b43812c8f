"""Measures models on this device, all taking turns. Needs numpy and onnxruntime, and the folder it lies in.

    python measure.py --repeats 15 --threads 1

It reads ``bundle.json`` and writes ``measurements.json``, which ``star measure --import`` reads.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

try:
    import numpy as np

    from star_core.graphs.runner import Decoder, opened
    from star_core.measurement.timing import STEPS, Task, Timing, in_turns
except ImportError as error:
    raise SystemExit(f"measure.py: {error}. Fix: pip install onnxruntime numpy") from None

FORMAT, VERSION = "star-measurements", 1
BUNDLE_VERSION = 1
RESULT = "measurements.json"


class Work:
    """A decoder at work: a prompt that is read, then tokens that are written one by one behind a context.

    Args:
        decoder: What computes.
        vocab_size: Tokens of the vocabulary.
        prompt: Tokens read until the first is written.
        context: Tokens held while others are written.
    """

    def __init__(self, decoder: Decoder, vocab_size: int, prompt: int, context: int) -> None:
        self._decoder, self._context = decoder, context
        self._prompt: list[int] = np.random.default_rng(0).integers(vocab_size, size=prompt).tolist()

    def prefill(self) -> None:
        """Reads the prompt up to the choice of its first token."""
        self._decoder.feed(self._prompt).argmax()

    def decode(self) -> None:
        """Writes ``STEPS`` tokens, each the likeliest behind the one before."""
        token = 0
        for _ in range(STEPS):
            token = int(self._decoder.feed((token,)).argmax())

    def empty(self) -> None:
        """Forgets what was read."""
        self._decoder.reset(len(self._prompt))

    def fill(self) -> None:
        """Makes the states hold what they may hold behind the context."""
        self._decoder.pretend(self._context)
        self._decoder.reserve(max(len(self._prompt), self._context + STEPS))

    def rewind(self) -> None:
        """Makes the states hold no more than the context."""
        self._decoder.position = self._context


def work_of(bundle: dict[str, Any], entry: dict[str, Any], threads: int) -> Work:
    """The model of one entry, which has computed something."""
    folder = Path(__file__).resolve().parent / entry["folder"]
    decoder = opened(folder, bundle["weights"], threads)
    if decoder.description["digest"] != entry["digest"]:
        raise ValueError(f"{folder.name} holds the graph of another genome")
    work = Work(decoder, bundle["vocab_size"], bundle["prompt"], bundle["context"])
    work.prefill()
    work.fill()
    work.decode()
    return work


def _figures(timing: Timing) -> dict[str, Any]:
    return {name: getattr(timing, name) for name in Timing.__slots__}


def _memory(number: int, threads: int) -> int | None:
    """Bytes that one model takes in a process of its own; ``None`` where the system does not tell."""
    command = [sys.executable, __file__, "--memory", str(number), "--threads", str(threads)]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    return int(found.stdout) if found.returncode == 0 and found.stdout.strip() else None


def _resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def _machine() -> dict[str, str]:
    name = platform.processor() or platform.machine()
    for path, start in (("/proc/device-tree/model", ""), ("/proc/cpuinfo", "model name")):
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found = [line.partition(":")[2] if start else line for line in lines if line.startswith(start)]
        if found:
            name = found[0].strip(" \0")
            break
    return {
        "processor": name,
        "architecture": platform.machine(),
        "cores": str(os.cpu_count() or 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _say(text: str, end: str = "\n") -> None:
    sys.stderr.write(text + end)
    sys.stderr.flush()


def _timed(title: str, tasks: Sequence[Task], repeats: int) -> list[Timing]:
    def after_round(done: int) -> None:
        _say(f"\r{title}: round {done} of {max(done, repeats)}", "")

    found = in_turns(tasks, repeats, after_round=after_round)
    _say("")
    return found


def measure(bundle: dict[str, Any], repeats: int, threads: int) -> dict[str, Any]:
    """What is written, but for its digest.

    Raises:
        SystemExit: This device opens none of the graphs.
    """
    import onnxruntime

    entries, refused, works = bundle["entries"], {}, {}
    for number, entry in enumerate(entries):
        _say(f"\ropening model {number + 1} of {len(entries)}", "")
        try:
            works[number] = work_of(bundle, entry, threads)
        except Exception as error:  # whatever a runtime raises
            refused[number] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            _say(f"\n{entry['genome']} is left out: {refused[number]}")
    _say("")
    if not works:
        raise SystemExit(
            f"measure.py: onnxruntime {onnxruntime.__version__} opens none of these graphs "
            f"({refused[0]}). Fix: install onnxruntime 1.23 or later, which reads opset 23"
        )
    reading = [Task(work.prefill, work.empty) for work in works.values()]
    prefill = _timed("first tokens", reading, repeats)
    for work in works.values():
        work.fill()
    writing = [Task(work.decode, work.rewind, STEPS) for work in works.values()]
    decode = _timed("tokens", writing, repeats)
    times = {number: (prefill[place], decode[place]) for place, number in enumerate(works)}
    works.clear()
    figures = []
    for number, entry in enumerate(entries):
        _say(f"\rmemory of model {number + 1} of {len(entries)}", "")
        own = times.get(number)
        figures.append(
            {
                **{name: entry[name] for name in ("genome", "digest", "width", "head_dim")},
                "prefill_seconds": _figures(own[0]) if own else None,
                "decode_seconds_per_token": _figures(own[1]) if own else None,
                "peak_memory_bytes": _memory(number, threads) if own else None,
                "refused": refused.get(number),
            }
        )
    _say("")
    return {
        "format": FORMAT,
        "version": VERSION,
        "bundle": bundle["digest"],
        "machine": _machine(),
        "runtime": "onnxruntime",
        "runtime_version": onnxruntime.__version__,
        "threads": threads,
        **{name: bundle[name] for name in ("weights", "prompt", "context", "vocab_size", "semantics")},
        "figures": figures,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measures the models in this folder on this device.")
    parser.add_argument("--repeats", type=int, default=15, help="undisturbed repeats of each timing")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.repeats < 3 or given.threads < 1:
        raise SystemExit("measure.py: --repeats is at least 3, --threads at least 1")
    folder = Path(__file__).resolve().parent
    try:
        bundle = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"measure.py: bundle.json cannot be read ({error}); copy the folder again") from None
    if bundle["version"] != BUNDLE_VERSION:
        raise SystemExit("measure.py: bundle.json is of another version. Fix: make the folder again")
    if given.memory is not None:
        try:
            # A small model first, so that libraries have loaded what they load at first use.
            smallest = min(bundle["entries"], key=lambda entry: entry["parameters"])
            work_of(bundle, smallest, given.threads)
            gc.collect()
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # begins a new peak
            before = _resident("VmRSS")
            work_of(bundle, bundle["entries"][given.memory], given.threads)
            sys.stdout.write(str(max(0, _resident("VmHWM") - before)))
        except OSError:
            pass
        return
    content = measure(bundle, given.repeats, given.threads)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    content["digest"] = hashlib.sha256(canonical.encode()).hexdigest()
    unfinished = folder / f".{RESULT}"
    unfinished.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
    unfinished.replace(folder / RESULT)
    _say(f"written: {folder / RESULT}")
    _say(f"next, where STAR is installed: star measure --import {RESULT} --as NAME")


if __name__ == "__main__":
    main()
