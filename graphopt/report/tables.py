"""Tables and lists of names as the terminal shows them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from graphopt.report import words

MOST_ROWS = 20
_MOST_NODES = 3


def add_row(table: Table, *cells: str | Text, style: str = "") -> None:
    """Add a row of plain text: rich would read markup in a str, and a hostile name could hold some."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def table_of(*columns: str) -> Table:
    """A table without borders; a leading ``>`` aligns a column to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
        )
    return table


def some(nodes: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    names = ", ".join(words.printable(n) for n in nodes[:_MOST_NODES])
    return names if len(nodes) <= _MOST_NODES else f"{names} and {len(nodes) - _MOST_NODES} more"
