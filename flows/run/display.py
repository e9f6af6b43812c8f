"""The live progress display of a run: what it is doing, how it is going, how long it will take."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from star_core.analysis.run.candidates import bits_of
from star_core.analysis.run.nearest import in_words, nearest
from star_core.analysis.run.outcomes import INFEASIBLE, STOPPED, has_failed, statuses
from star_core.analysis.terminal.output import plain_console, printable
from star_core.evaluation import Evaluation
from star_core.population.generation import Generation


@dataclass
class Tally:
    """Counts of the generation that is being made."""

    title: str = "starting"
    search: bool = True
    total: int = 0
    done: int = 0
    cached: int = 0
    failed: int = 0
    running: dict[str, float] = field(default_factory=dict)


class Display:
    """Collects events from task threads and draws them, a few times a second on a terminal.

    Without a terminal it prints one line per event worth keeping.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or plain_console()
        self.tally = Tally()
        self.expected = 0
        self.finished = 0
        self.workers = 1
        self.best: float | None = None
        self.front = 0
        self.history: list[str] = []
        self._seconds: list[float] = []
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @classmethod
    def silent(cls) -> Display:
        """A display that shows nothing."""
        return cls(plain_console(quiet=True))

    def plan(self, candidates: int, workers: int) -> None:
        """States how many candidates are to come in all, and how many run at once."""
        with self._lock:
            self.expected, self.workers = candidates, workers

    def starting(self, what: str) -> None:
        """Names what starts up, as long as there is no candidate yet."""
        with self._lock:
            self.tally = Tally(f"starting: {what}")

    def begin(self, title: str, total: int, search: bool = True) -> None:
        """A generation starts with ``total`` candidates, or (not ``search``) a comparison does."""
        with self._lock:
            self.tally = Tally(title, search, total)
        self._say(f"{title}: {total} candidates")

    def excluded(self, count: int) -> None:
        """So many candidates of the generation are not trained, since they are over a limit."""
        with self._lock:
            self.tally.done += count
            self.finished += count
        if count:
            self._say(f"{count} of them over a limit, not trained")

    def started(self, name: str) -> None:
        """A candidate's training starts."""
        with self._lock:
            self.tally.running[name] = time.monotonic()

    def ended(self, name: str, evaluation: Evaluation, cached: bool) -> None:
        """A candidate has its evaluation."""
        with self._lock:
            since = self.tally.running.pop(name, None)
            self.tally.done += 1
            self.finished += 1
            self.tally.cached += cached
            self.tally.failed += evaluation.status != "ok"
            if since is not None and not cached:
                self._seconds.append(time.monotonic() - since)
            if evaluation.status == "ok" and self.tally.search:
                value = math.exp(evaluation.metrics["validation_loss"])
                self.best = value if self.best is None else min(self.best, value)
        if evaluation.status != "ok":
            self._say(f"{name}: {evaluation.status.replace('_', ' ')} ({evaluation.detail})")

    def probed(self, name: str, evaluation: Evaluation) -> None:
        """A candidate was measured, beside its training."""
        with self._lock:
            self.tally.running.pop(name, None)
        if evaluation.status != "ok":
            self._say(f"{name}: {evaluation.status.replace('_', ' ')} ({evaluation.detail})")

    def known(self, generation: Generation) -> None:
        """Takes in a stored generation."""
        values = perplexities(generation)
        with self._lock:
            self.front = len(generation.front)
            self.best = min([*values, *([self.best] if self.best else [])], default=None)

    def selected(self, generation: Generation) -> None:
        """A generation is complete."""
        self.known(generation)
        self.note(summary(generation))

    def note(self, text: str) -> None:
        """Keeps a line for the history; without a terminal, prints it."""
        with self._lock:
            self.history.append(text)
        self._say(text)

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the mean time of the candidates so far; ``None`` before the first."""
        if not self._seconds:
            return None
        mean = sum(self._seconds) / len(self._seconds)
        return mean * max(0, self.expected - self.finished) / self.workers

    def _say(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(printable(text)), soft_wrap=True)

    def __rich__(self) -> RenderableType:
        with self._lock:
            tally, left = self.tally, self.seconds_left
            past = [Text(f"  {printable(line)}", style="dim") for line in self.history[-8:]]
            if not tally.total:
                return Group(
                    *past, Text(f"{printable(tally.title)} …  {_clock(time.monotonic() - self._started)}")
                )
            bar = Table.grid(padding=(0, 2))
            bar.add_row(
                Text(printable(tally.title), style="bold"),
                ProgressBar(total=max(1, self.expected), completed=self.finished, width=30),
                f"{self.finished}/{self.expected} candidates",
                _clock(time.monotonic() - self._started),
                f"about {_clock(left)} left" if left is not None else "",
            )
            counts = Text.assemble(
                ("  done ", "dim"),
                str(tally.done),
                ("  running ", "dim"),
                str(len(tally.running)),
                ("  from store ", "dim"),
                str(tally.cached),
                ("  failed ", "dim"),
                (str(tally.failed), "red" if tally.failed else ""),
                ("  best perplexity ", "dim"),
                (f"{self.best:.3f}" if self.best else "–", "green"),
                ("  front ", "dim"),
                str(self.front or "–"),
            )
            return Group(*past, bar, counts)

    @contextmanager
    def live(self) -> Iterator[Display]:
        """Draws while the block runs."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(self, console=self.console, refresh_per_second=4, transient=True):
            yield self


def summary(generation: Generation) -> str:
    """A stored generation in one line."""
    known, born = perplexities(generation), len(generation.born)
    counts = statuses(generation.born)
    stopped, infeasible = counts.get(STOPPED, 0), counts.get(INFEASIBLE, 0)
    failed = sum(map(has_failed, generation.born))
    line = f"generation {generation.index}: "
    bits = bits_of(generation)
    line += f"best perplexity {min(known):.3f}" if known else "no perplexity"
    line += f" ({bits.of(min(known)):.3f} bits per byte)" if known and bits.unit == "byte" else ""
    line += f", front {len(generation.front)}"
    line += f", {born - stopped - infeasible} of {born} to the end" if stopped else ""
    line += f", {infeasible} of {born} over a limit, not trained" if infeasible else ""
    line += f", {failed} of {born} failed" if failed else ""
    if near := nearest(generation):
        over = in_words(near[0], generation.params().objectives.constraints)
        line += f": none meets the constraints, the nearest survive; {near[0].id} has {over}"
    return line


def perplexities(generation: Generation) -> list[float]:
    """Those that are known of a population."""
    values = (individual.objectives.get("perplexity") for individual in generation.population)
    return [value for value in values if value is not None]


def _clock(seconds: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}:{rest:02d}"
