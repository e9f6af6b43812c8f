"""``star doctor``: everything that a run needs, looked at, in one table."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from star_core.analysis.terminal.output import Output, plain_console, printable
from star_core.analysis.terminal.table import Column, TerminalTable

from .checks import examine
from .finding import Finding, Level, Project

MARKS = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "red")}
SUBJECT_WIDTH = 16


def doctor_command(root: Path, run: str | None, params: str, changes: tuple[str, ...] = ()) -> Output:
    """What was found; the exit code is 1 if anything does not work."""
    console = plain_console(stderr=True)
    with console.status("Looking …") if console.is_terminal else nullcontext():
        sections = list(examine(Project(root, params, run, changes)))
    counts = Counter(finding.level for _, findings in sections for finding in findings)
    data = {
        "ok": counts[Level.OK],
        "warnings": counts[Level.WARNING],
        "problems": counts[Level.PROBLEM],
        "sections": [{"title": title, "findings": findings} for title, findings in sections],
    }
    parts: list[RenderableType] = [table(title, findings) for title, findings in sections]
    parts.append(summary(counts))
    return Output(data, parts, 1 if counts[Level.PROBLEM] else 0)


def table(title: str, findings: list[Finding]) -> TerminalTable:
    """The rows of a section; what to do stands below what was found."""
    columns = (
        Column("", shown=_mark, right=True),
        Column("", shown=lambda subject: Text(subject.ljust(SUBJECT_WIDTH), "dim")),
        Column("", shown=_said, prose=True, gives_way=1, below=True),
    )
    return TerminalTable(title, columns, [(finding.level, finding.subject, finding) for finding in findings])


def _mark(level: Level) -> Text:
    mark, colour = MARKS[level]
    return Text(mark, f"bold {colour}")


def _said(finding: Finding) -> Text:
    said = Text(printable(finding.text))
    if finding.fix:
        said.append("\n→ ", MARKS[finding.level][1]).append(printable(finding.fix), "bold")
    return said


def summary(counts: Counter[Level]) -> Text:
    """How many of each kind."""
    problems, warnings = counts[Level.PROBLEM], counts[Level.WARNING]
    parts = [
        (f"{counts[Level.OK]} ok", "green"),
        (f"{warnings} warning{'' if warnings == 1 else 's'}", "yellow" if warnings else "dim"),
        (f"{problems} problem{'' if problems == 1 else 's'}", "red" if problems else "dim"),
    ]
    return Text(", ").join(Text(text, style=style) for text, style in parts)
