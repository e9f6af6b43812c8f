"""Tables for a terminal of any width, which are records for programs as well.

Cells hold values; how they are shown is the column's affair. A genome or a number is never wrapped or
cut: where there is no room, columns go below their row or are left out, those that say so first, and if
that is not enough, each row becomes a block of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from star_core import units
from star_core.analysis.terminal.output import printable

_GAP = 2
_PROSE = 24
"""Columns of the terminal that prose wants at least."""

_NOTHING = ("", units.MISSING)


def whole(text: object, style: str = "") -> Text:
    """Text that is never wrapped or cut, however narrow the terminal."""
    return Text(printable(text), style, no_wrap=True, overflow="ignore")


@dataclass(frozen=True)
class Column:
    """What stands in one column.

    Attributes:
        title: Its heading; may have several lines.
        name: Its key in a record; the title in lower case by default.
        shown: A value as text.
        right: Whether it is aligned to the right, as numbers are.
        prose: Whether lines may be broken between words.
        gives_way: Where there is no room, the column with the least number goes first; 0: it stays.
        below: Whether it goes below its row then, instead of being left out.
    """

    title: str
    name: str = ""
    shown: Callable[[Any], Text | str] = str
    right: bool = False
    prose: bool = False
    gives_way: int = 0
    below: bool = False

    @property
    def key(self) -> str:
        """Its key in a record."""
        return self.name or self.heading.lower().replace(" ", "_")

    @property
    def heading(self) -> str:
        """The title in one line."""
        return self.title.replace("/\n", "/").replace("\n", " ")

    def cell(self, value: object) -> Text:
        """A value as it is shown; nothing known is a dash."""
        shown = units.MISSING if value is None else self.shown(value)
        return shown.copy() if isinstance(shown, Text) else Text(printable(shown))


@dataclass(frozen=True)
class TerminalTable:
    """Rows of values under columns.

    Attributes:
        title: What it shows; empty: no title.
        columns: From left to right.
        rows: A value for each column.
        name: Its key among the tables of a command.
        note: A line below it.
        styles: Index of a row → its style.
        rules: Indices of rows that a line is drawn above.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[object]]
    name: str = ""
    note: str = ""
    styles: Mapping[int, str] = field(default_factory=dict)
    rules: frozenset[int] = frozenset()

    def records(self) -> list[dict[str, object]]:
        """The rows for programs: values by column."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table as wide as it needs to be, at most as wide as the terminal."""
        drawing = _Drawing(self, console, options.max_width)
        if self.title:
            yield Text(printable(self.title), "bold")
        yield from drawing.stacked() if drawing.widths is None else drawing.aligned()
        if drawing.dropped:
            names = ", ".join(self.columns[index].heading for index in sorted(drawing.dropped))
            yield Text(f"No room here for: {names}. A wider terminal, or --json, shows it.", "dim italic")
        if self.note:
            yield Text(self.note, "dim italic")


class _Drawing:
    """A table laid out for one width.

    Attributes:
        widths: Column → its width, of those side by side; ``None``: there is no room, rows are blocks.
        below: Columns that stand below their row.
        dropped: Columns that are left out.
    """

    def __init__(self, table: TerminalTable, console: Console, width: int) -> None:
        self._table, self._console, self._width = table, console, width
        self._cells = [
            [column.cell(value) for column, value in zip(table.columns, row, strict=True)]
            for row in table.rows
        ]
        self.below: list[int] = []
        self.dropped: list[int] = []
        self.widths = self._arranged()

    def _arranged(self) -> dict[int, int] | None:
        columns = self._table.columns
        wanted = {
            index: _widest([Text(column.title), *(row[index] for row in self._cells)])
            for index, column in enumerate(columns)
        }
        least = {
            index: min(width, max(_PROSE, _widest([Text(columns[index].title)])))
            if columns[index].prose
            else width
            for index, width in wanted.items()
        }
        inline = list(wanted)
        going = sorted(
            (index for index in inline if columns[index].gives_way),
            key=lambda index: columns[index].gives_way,
        )
        while sum(least[index] for index in inline) + _GAP * (len(inline) - 1) > self._width:
            if not going:
                self.below, self.dropped = [], []
                return None
            index = going.pop(0)
            inline.remove(index)
            (self.below if columns[index].below else self.dropped).append(index)
        return self._shared({index: wanted[index] for index in inline}, least)

    def _shared(self, wanted: dict[int, int], least: dict[int, int]) -> dict[int, int]:
        """Widths within the terminal's: prose takes what the others leave."""
        widths = {index: least[index] for index in wanted}
        room = self._width - sum(widths.values()) - _GAP * (len(widths) - 1)
        growing = sorted(wanted, key=lambda index: wanted[index] - least[index])
        for position, index in enumerate(growing):
            more = min(wanted[index] - least[index], room // (len(growing) - position))
            widths[index] += more
            room -= more
        return widths

    def aligned(self) -> Iterator[Text]:
        """Columns side by side."""
        widths, columns = self.widths or {}, self._table.columns
        titles = [columns[index].title.split("\n") for index in widths]
        height = max(map(len, titles)) if any(any(title) for title in titles) else 0
        lines = [[*[""] * (height - len(title)), *title] for title in titles]
        for number in range(height):
            yield self._line([Text(line[number], "dim") for line in lines])
        rule = sum(widths.values()) + _GAP * (len(widths) - 1)
        for number, row in enumerate(self._cells):
            if number in self._table.rules:
                yield whole("─" * rule, "dim")
            style = self._table.styles.get(number, "")
            parts = [self._folded(index, row[index], width) for index, width in widths.items()]
            for line in range(max(map(len, parts))):
                yield self._line([part[line] if line < len(part) else Text() for part in parts], style)
            for index in self.below:
                if row[index].plain not in _NOTHING:
                    yield from self._titled(index, row[index], style)

    def stacked(self) -> Iterator[Text]:
        """Each row as a block of lines."""
        margin = max(len(column.heading) for column in self._table.columns)
        for number, row in enumerate(self._cells):
            if number:
                yield Text()
            for index, cell in enumerate(row):
                if cell.plain not in _NOTHING:
                    yield from self._titled(index, cell, self._table.styles.get(number, ""), margin, 0)

    def _titled(
        self, index: int, cell: Text, style: str, margin: int | None = None, indent: int = 2
    ) -> Iterator[Text]:
        """A cell on lines of its own, behind its title."""
        heading = self._table.columns[index].heading
        margin = len(heading) if margin is None else margin
        start = indent + margin + (_GAP if margin else 0)
        for number, line in enumerate(self._folded(index, cell, max(_PROSE, self._width - start))):
            title = " " * indent + heading.ljust(start - indent) if not number else " " * start
            made = whole("", style)
            made.append(title, "dim").append_text(line)
            yield made

    def _folded(self, index: int, cell: Text, width: int) -> list[Text]:
        lines = list(cell.split("\n", allow_blank=True)) or [Text()]
        if not self._table.columns[index].prose:
            return lines
        folded = [part for line in lines for part in (line.wrap(self._console, width) or [Text()])]
        for line in folded:
            line.rstrip()
        return folded

    def _line(self, cells: Sequence[Text], style: str = "") -> Text:
        made = whole("", style)
        for number, ((index, width), cell) in enumerate(zip((self.widths or {}).items(), cells, strict=True)):
            space = " " * max(0, width - cell.cell_len)
            made.append(" " * _GAP if number else "")
            if self._table.columns[index].right:
                made.append(space).append_text(cell)
            else:
                made.append_text(cell).append(space)
        made.rstrip()
        return made


def _widest(cells: Sequence[Text]) -> int:
    return max(line.cell_len for cell in cells for line in cell.split("\n", allow_blank=True) or [Text()])
