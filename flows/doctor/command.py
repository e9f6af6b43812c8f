"""``star doctor``: everything that a run needs, looked at, in one table."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .checks import examine
from .finding import Finding, Level, Project

MARKS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "red")}
SUBJECT_WIDTH = 16


def doctor_command(root: Path, run: str | None, params: str) -> None:
    """Prints what was found; ends with exit code 1 if anything does not work."""
    console = Console()
    counts: Counter[Level] = Counter()
    with console.status("Looking …") if console.is_terminal else nullcontext():
        sections = list(examine(Project(root, params, run)))
    for title, findings in sections:
        counts.update(finding.level for finding in findings)
        console.print(Text(title, style="bold"))
        console.print(Padding(table(findings), (0, 0, 1, 0)))
    console.print(summary(counts))
    if counts[Level.PROBLEM]:
        raise SystemExit(1)


def table(findings: list[Finding]) -> Table:
    """The rows of a section; what to do stands below what was found."""
    shown = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    shown.add_column(width=3, justify="right")
    shown.add_column(width=SUBJECT_WIDTH)
    shown.add_column(ratio=1, overflow="fold")
    for finding in findings:
        mark, colour = MARKS[finding.level]
        text: RenderableType = Text(finding.text)
        if finding.fix:
            text = Group(text, Text.assemble(("→ ", colour), (finding.fix, "bold")))
        shown.add_row(Text(mark, style=f"bold {colour}"), Text(finding.subject, style="dim"), text)
    return shown


def summary(counts: Counter[Level]) -> Text:
    """How many of each kind."""
    problems, warnings = counts[Level.PROBLEM], counts[Level.WARNING]
    parts = [
        (f"{counts[Level.OK]} ok", "green"),
        (f"{warnings} warning{'' if warnings == 1 else 's'}", "yellow" if warnings else "dim"),
        (f"{problems} problem{'' if problems == 1 else 's'}", "red" if problems else "dim"),
    ]
    return Text(", ").join(Text(text, style=style) for text, style in parts)
