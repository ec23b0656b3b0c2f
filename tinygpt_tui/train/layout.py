"""Which parts of the Train tab fit a window, and how large each is."""

from __future__ import annotations

from dataclasses import dataclass

from tinygpt_tui.train.curves import Quantity
from tinygpt_tui.train.state import Charts

SMALLEST_CHART = 7
"""Rows; less important parts are dropped before a chart gets lower than this."""
NARROW = 64
"""Columns below which there is no room for two charts side by side."""
TALL = 30
"""Rows from which a narrow window has both charts, one above the other."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows of each part; 0 or False: it is left out."""

    charts: tuple[tuple[Quantity, int, int], ...]
    """Quantity, columns and rows of each."""
    stacked: bool
    """Whether the charts stand one above the other."""
    status: bool
    table: int
    bottom: int
    machine: bool


def arrange(columns: int, lines: int, charts: Charts, variants: int) -> Layout:
    """Divide a window of `columns` x `lines`; the charts get what the other parts leave.

    Where there is little room, the machine goes first, then samples and expert load, the status
    line and rows of the table.
    """
    table = 1 + variants + (variants > 1) if variants else 0
    wanted = max(5, min(lines * 3 // 10, 18))
    rest, machine, bottom, status = lines, 0, 0, 0
    for part, size in (("table", table), ("status", 1), ("bottom", wanted), ("machine", 1)):
        if part == "bottom" and rest - size < SMALLEST_CHART + 2:
            size = rest - SMALLEST_CHART - 2  # noqa: PLW2901 - a smaller one beats none
            if size < 3:
                continue
        if rest - size < SMALLEST_CHART:
            if part == "table":
                table = max(0, min(table, rest - SMALLEST_CHART))
                rest -= table
            continue
        rest -= size
        machine = size if part == "machine" else machine
        bottom = size if part == "bottom" else bottom
        status = size if part == "status" else status
    blocks, stacked = _charts(columns, rest, charts)
    return Layout(blocks, stacked, bool(status), table, bottom, bool(machine))


def _charts(
    columns: int, lines: int, charts: Charts
) -> tuple[tuple[tuple[Quantity, int, int], ...], bool]:
    if charts != "both":
        return ((charts, columns, lines),), False
    if columns >= NARROW:
        left = (columns - 1) // 2
        return (("loss", left, lines), ("perplexity", columns - 1 - left, lines)), False
    if lines >= TALL:
        return (("loss", columns, lines // 2), ("perplexity", columns, lines - lines // 2)), True
    return (("loss", columns, lines),), False
