"""A row of cells: spans of text, each with a style's name. What all render functions return."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size


class Span(NamedTuple):
    """Text in one style, named as in `tinygpt_tui.theme`; "" is the terminal's own."""

    text: str
    style: str = ""


Row: TypeAlias = tuple[Span, ...]


def row(*parts: Span | str) -> Row:
    """A row of spans; plain text has no style, neighbours of one style become one span."""
    merged: list[Span] = []
    for part in parts:
        span = Span(part) if isinstance(part, str) else part
        if merged and merged[-1].style == span.style:
            merged[-1] = Span(merged[-1].text + span.text, span.style)
        elif span.text:
            merged.append(span)
    return tuple(merged)


def width(cells: Row) -> int:
    """Columns that a row takes; a wide character takes two."""
    total = 0
    for text, _ in cells:
        narrow = text.isascii() and text.isprintable()  # a control character takes no column
        total += len(text) if narrow else cell_len(text)
    return total


def fit(cells: Row, columns: int, align: str = "left") -> Row:
    """A row of exactly `columns`: cut, or filled with spaces on the side that `align` leaves."""
    missing = columns - width(cells)
    if not missing:
        return cells
    if missing >= 0:
        filler = " " * missing
        return row(*cells, filler) if align == "left" else row(filler, *cells)
    kept: list[Span] = []
    left = columns
    for span in cells:
        size = cell_len(span.text)
        if size >= left:
            kept.append(Span(set_cell_size(span.text, left), span.style))
            break
        kept.append(span)
        left -= size
    return row(*kept)


def beside(blocks: Sequence[Sequence[Row]], gap: int = 1) -> list[Row]:
    """Blocks of rows next to each other, each padded to its own width; the lowest decides."""
    widths = [max(map(width, block), default=0) for block in blocks]
    rows = []
    for line in range(max(map(len, blocks), default=0)):
        parts: list[Span | str] = []
        for index, (block, columns) in enumerate(zip(blocks, widths, strict=True)):
            parts += [" " * gap] if index else []
            parts += fit(block[line] if line < len(block) else (), columns)
        rows.append(row(*parts))
    return rows


def plain(rows: Iterable[Row]) -> list[str]:
    """The text of rows, without styles: what tests compare."""
    return ["".join(span.text for span in cells) for cells in rows]
