"""Rows of cells, which all drawing functions return: spans of text with style names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size


class Span(NamedTuple):
    """Text in one style; `style` is a name that `tinygpt_tui.theme.style` knows."""

    text: str
    style: str = ""


Row: TypeAlias = tuple[Span, ...]
BEST = "◆"
"""Marks the best evaluation of a curve, and the best checkpoint of a timeline."""


def row(*parts: Span | str) -> Row:
    """A row of spans, neighbours of equal style merged; a plain string has no style."""
    merged: list[Span] = []
    for part in parts:
        span = Span(part) if isinstance(part, str) else part
        if merged and merged[-1].style == span.style:
            merged[-1] = Span(merged[-1].text + span.text, span.style)
        elif span.text:
            merged.append(span)
    return tuple(merged)


def width(cells: Row) -> int:
    """Width of a row in columns; a wide character takes two."""
    total = 0
    for text, _ in cells:
        simple = text.isascii() and text.isprintable()  # control characters take no column
        total += len(text) if simple else cell_len(text)
    return total


def padded(text: str, columns: int, align: str = "left") -> str:
    """The text with spaces up to at least `columns`; a wide character counts as two."""
    missing = " " * (columns - width((Span(text),)))
    return text + missing if align == "left" else missing + text


def fit(cells: Row, columns: int, align: str = "left") -> Row:
    """The row cut or padded with spaces to exactly `columns`."""
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
    """Blocks side by side, each padded to its own width and to the height of the tallest."""
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
    """The text of rows, without styles."""
    return ["".join(span.text for span in cells) for cells in rows]
