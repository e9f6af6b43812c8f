"""What architectures reached on tasks: a table for people, JSON for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from star_core import units
from star_core.analysis.report.wording import shown_name
from star_core.analysis.terminal.table import Column, TerminalTable
from star_core.downstream.harness import Score, Scores
from star_core.population.comparison import Entry

FORMAT, VERSION = "star-downstream", 1


@dataclass(frozen=True)
class Results:
    """Scores of the architectures of one retraining.

    Attributes:
        run: Name of the run.
        comparison: Digest of the comparison that names the weights.
        lm_eval: Version of lm-eval.
        context: Tokens a model reads at most.
        limit: Items of each task; ``None``: all.
        samples: Items that were judged, by task.
        entries: The architectures, in the comparison's order.
        scores: Name of an entry → its scores.
    """

    run: str
    comparison: str
    lm_eval: str
    context: int
    limit: int | None
    samples: dict[str, int]
    entries: tuple[Entry, ...]
    scores: dict[str, Scores]

    def table(self) -> TerminalTable:
        """A row for each architecture, a column for each metric of each task."""
        shown = [
            (task, metric, score.higher_is_better)
            for task, metrics in self.scores[self.entries[0].name].items()
            for metric, score in metrics.items()
        ]
        tasks = ", ".join(f"{task} ({units.plural(items, 'item')})" for task, items in self.samples.items())
        headings = [f"{task}\n{metric}{_ARROWS[better]}" for task, metric, better in shown]
        columns = [Column("", shown=shown_name)]
        columns += [Column(heading, shown=_shown, right=True) for heading in headings]
        rows = [
            (entry.name, *(self.scores[entry.name][task][metric] for task, metric, _ in shown))
            for entry in self.entries
        ]
        return TerminalTable(f"{self.run}: {tasks}", columns, rows, note=self.note())

    def note(self) -> str:
        """What the figures are."""
        return f"± standard error over the items; up to {self.context} tokens are read at once"

    def record(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "run": self.run,
            "comparison": self.comparison,
            "lm_eval": self.lm_eval,
            "context": self.context,
            "limit": self.limit,
            "samples": self.samples,
            "architectures": [
                {
                    "name": entry.name,
                    "genome": entry.genome,
                    "digest": entry.digest,
                    "key": entry.key,
                    "scores": {
                        task: {metric: asdict(score) for metric, score in metrics.items()}
                        for task, metrics in self.scores[entry.name].items()
                    },
                }
                for entry in self.entries
            ],
        }


_ARROWS = {True: " ↑", False: " ↓", None: ""}


def _shown(score: Score) -> str:
    return f"{score.value:.4g}" + (f" ± {score.error:.2g}" if score.error is not None else "")
