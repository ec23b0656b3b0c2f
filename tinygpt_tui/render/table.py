"""Tables of rows of cells: the columns that fit, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.cells import cell_len

from tinygpt_tui.render.cells import Row, Span, fit, row

Cell: TypeAlias = Span | str
GAP = 2


@dataclass(frozen=True)
class Column:
    """A column: its heading, its width in cells, and how much it matters.

    The least important (highest priority number) goes first when there is no room; 0 stays.
    """

    heading: str
    width: int
    align: Literal["left", "right"] = "left"
    priority: int = 0


def choose_columns(columns: Sequence[Column], width: int, gap: int = GAP) -> list[int]:
    """Indices of the columns that fit, in their order. Of equal ones the rightmost goes first; the
    last one left stays even if it does not fit."""
    kept = list(range(len(columns)))
    while len(kept) > 1 and _needed([columns[i] for i in kept], gap) > width:
        kept.remove(max(kept, key=lambda i: (columns[i].priority, i)))
    return kept


def _needed(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * max(len(columns) - 1, 0)


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, gap: int = GAP
) -> list[Row]:
    """A heading and the rows, each exactly `width` columns; a row has a cell for every column, also
    for those left out."""
    kept = choose_columns(columns, width, gap)
    heading = [Span(column.heading, "muted") for column in columns]
    return [_line(columns, cells, kept, width, gap) for cells in (heading, *rows)]


def _line(
    columns: Sequence[Column], cells: Sequence[Cell], kept: Sequence[int], width: int, gap: int
) -> Row:
    parts: list[Cell] = []
    for index in kept:
        parts += [" " * gap] if parts else []
        parts += fit(row(cells[index]), columns[index].width, columns[index].align)
    return fit(row(*parts), max(width, 0))


def natural_width(heading: str, cells: Sequence[Cell]) -> int:
    """The width of a column that cuts none of its cells."""
    texts = [cell if isinstance(cell, str) else cell.text for cell in cells]
    return max(map(cell_len, [heading, *texts]))
