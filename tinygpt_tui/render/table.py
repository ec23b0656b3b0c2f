"""Tables that drop the least important columns if not all fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tinygpt_tui.render.cells import Row, Span, fit, row

Cell: TypeAlias = Span | str
GAP = 2


@dataclass(frozen=True)
class Column:
    """Heading, width and importance of a column."""

    heading: str
    width: int
    """In cells."""
    align: Literal["left", "right"] = "left"
    priority: int = 0
    """Columns with the highest number are dropped first."""


def choose_columns(columns: Sequence[Column], width: int, gap: int = GAP) -> list[int]:
    """Indices of the columns that fit in `width` with `gap` cells between them.

    Among columns of equal priority the rightmost is dropped first; one column always remains.
    """
    kept = list(range(len(columns)))
    while len(kept) > 1 and _needed([columns[i] for i in kept], gap) > width:
        kept.remove(max(kept, key=lambda i: (columns[i].priority, i)))
    return kept


def _needed(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * max(len(columns) - 1, 0)


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, gap: int = GAP
) -> list[Row]:
    """The heading and the rows, each exactly `width` cells.

    Each of `rows` has a cell for every column, including those that are dropped.
    """
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
