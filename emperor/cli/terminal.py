"""Shows a view in colour on a terminal. Imports rich, so only for terminals."""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from emperor.cli.view import Cell, Column, Line, Table

_LAST_MIN = 20
_WIDTH_MAX = 34
"""Of any other column; longer values are folded."""


def show(view: Iterable[Line | Table], console: Console) -> None:
    """Print the view. NO_COLOR and TERM=dumb are the console's affair."""
    for part in view:
        if isinstance(part, Table):
            _show_table(part, console)
        else:
            console.print(Text.assemble(*(_text(c) for c in part.cells)), soft_wrap=True)


def new_console() -> Console:
    """Return a console that takes nothing in a text for markup or an emoji."""
    return Console(markup=False, highlight=False, emoji=False)


def _show_table(table: Table, console: Console) -> None:
    """Print the table; only its last column is ever narrowed, as it holds sentences and lists.

    Where hardly anything is left for that one it stands below its row.
    """
    titles = tuple(Cell(column.title, "bold") for column in table.columns)
    columns = zip(titles, *table.rows, strict=True)
    *widths, last = [max(cell_len(part.text) for part in column) for column in columns]
    widths = [min(width, _WIDTH_MAX) for width in widths]
    for gap in (2, 1):
        if sum(widths) + gap * len(widths) + min(last, _LAST_MIN) <= console.width:
            console.print(_side_by_side(table, widths, gap))
            return
    for row in (titles, *table.rows):
        parts = [_text(part) for part in row]
        for text, width, column in zip(parts, widths, table.columns, strict=False):
            missing = max(0, width - text.cell_len)
            text.pad_left(missing) if column.right else text.pad_right(missing)
        line = Text(" ").join(parts[:-1])
        line.rstrip()
        console.print(line, soft_wrap=True)
        if parts[-1]:
            console.print(Text("    ") + parts[-1], soft_wrap=True)


def _side_by_side(table: Table, widths: Sequence[int], gap: int) -> RichTable:
    padding = (0, gap - 1, 0, 0)  # the box has one space between two columns
    shown = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding, header_style="bold"
    )
    *columns, last = table.columns
    for column, width in zip(columns, widths, strict=True):
        shown.add_column(column.title, justify=_side(column), width=width, overflow="fold")
    shown.add_column(last.title, justify=_side(last), overflow="fold")
    for row in table.rows:
        shown.add_row(*(_text(part) for part in row))
    return shown


def _side(column: Column) -> Literal["left", "right"]:
    return "right" if column.right else "left"


def _text(part: Cell) -> Text:
    return Text(part.text, part.style)
