"""What is to be shown, as values, and its form in plain text. Pure.

A view is a list of lines and tables. `plain` is for pipes and files; terminal shows the
same view in colour. Every cell is made printable here, so that no request URI, output
line or name can steer a terminal.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from emperor.config.problems import printable

GOOD, BAD, BUSY, FAINT, STRONG = "green", "red", "yellow", "dim", "bold"
"""Styles, in rich's words."""


class Cell(NamedTuple):
    """A piece of text in one style; made by `cell`, so it holds printable text only."""

    text: str
    style: str = ""


class Line(NamedTuple):
    """Pieces shown one after the other."""

    cells: tuple[Cell, ...] = ()


class Column(NamedTuple):
    title: str
    right: bool = False


class Table(NamedTuple):
    """Rows of as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


View = list[Line | Table]


def cell(text: object, style: str = "") -> Cell:
    """Return a cell; what is not printable appears as \\x1b and the like."""
    return Cell(printable(str(text)), style)


def line(*parts: object) -> Line:
    """Return a line of cells and of other values, which become cells without style."""
    return Line(tuple(part if isinstance(part, Cell) else cell(part) for part in parts))


def paragraph(text: str, indent: str = "  ", style: str = "") -> list[Line]:
    """Return one line for each line of `text`, tabs kept."""
    return [
        Line((Cell(indent + printable_line(part), style),))
        for part in text.rstrip("\n").split("\n")
    ]


def printable_line(text: str) -> str:
    """Return one line of output, printable but for its tabs."""
    return "\t".join(printable(part) for part in text.split("\t"))


def printable_lines(text: str) -> str:
    """Return lines of output, printable each."""
    return "\n".join(map(printable_line, text.split("\n")))


def plain(view: Iterable[Line | Table]) -> str:
    """Return the view as text; columns are aligned with spaces, at least two."""
    lines: list[str] = []
    for part in view:
        if isinstance(part, Table):
            lines += _plain_table(part)
        else:
            lines.append("".join(c.text for c in part.cells))
    return "".join(f"{text.rstrip(' ')}\n" for text in lines)


def _plain_table(table: Table) -> list[str]:
    grid = [[column.title for column in table.columns]]
    grid += [[c.text for c in row] for row in table.rows]
    widths = [max(len(row[i]) for row in grid) for i in range(len(table.columns))]
    return ["  ".join(_padded(row, widths, table.columns)) for row in grid]


def _padded(row: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> list[str]:
    return [
        text.rjust(width) if column.right else text.ljust(width)
        for text, width, column in zip(row, widths, columns, strict=True)
    ]
