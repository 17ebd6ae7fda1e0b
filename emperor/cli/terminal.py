"""Shows a view in colour on a terminal. Imports rich, so only for terminals."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from emperor.cli.view import Cell, Line, Table


def show(view: Iterable[Line | Table], console: Console) -> None:
    """Print the view. NO_COLOR and TERM=dumb are the console's affair."""
    for part in view:
        if isinstance(part, Table):
            console.print(_table(part))
        else:
            console.print(Text.assemble(*(_text(c) for c in part.cells)), soft_wrap=True)


def new_console() -> Console:
    """Return a console that takes nothing in a text for markup or an emoji."""
    return Console(markup=False, highlight=False, emoji=False)


def _table(table: Table) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in table.columns:
        shown.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(_text(c) for c in row))
    return shown


def _text(part: Cell) -> Text:
    return Text(part.text, part.style)
