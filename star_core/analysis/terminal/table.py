"""Tables for a terminal: a title, a dim header, nothing drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table


def terminal_table(title: str, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table of anything that can be shown as text."""
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(column, overflow="fold")  # digits that are cut off say nothing
    for row in rows:
        table.add_row(*map(str, row))
    return table
