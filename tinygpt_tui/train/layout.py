"""Which parts of the Train tab fit in a window, and their sizes."""

from __future__ import annotations

from dataclasses import dataclass

from tinygpt_tui.train.curves import Quantity
from tinygpt_tui.train.state import Charts

MIN_CHART_ROWS = 7
"""Less important parts are dropped before a chart gets smaller than this."""
NARROW = 64
"""Columns below which there is no room for two charts side by side."""
TALL = 30
"""Rows from which a narrow window stacks both charts, and from which there is room for samples and
expert load besides overlaid runs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows of each part; 0 or False if it is left out."""

    charts: tuple[tuple[Quantity, int, int], ...]
    """Quantity, columns and rows of each chart."""
    stacked: bool
    """Whether one chart is above the other instead of beside it."""
    status: bool
    table: int
    overlays: int
    bottom: int
    machine: bool


def arrange(columns: int, lines: int, charts: Charts, variants: int, overlays: int = 0) -> Layout:
    """Divide a window of `columns` x `lines`; the charts get what the other parts leave.

    In a small window the machine line is dropped first, then samples and expert load, the overlaid
    runs, the status line and rows of the table.
    """
    table = 1 + variants + (variants > 1) if variants else 0
    parts = {"table": table, "status": 1, "overlays": overlays and 1 + overlays}
    if not overlays or lines >= TALL:
        parts["bottom"] = max(5, min(lines * 3 // 10, 18))
    parts["machine"] = 1
    rest, machine, bottom, status, overlay_rows = lines, 0, 0, 0, 0
    for part, size in parts.items():
        if part == "bottom" and rest - size < MIN_CHART_ROWS + 2:
            size = rest - MIN_CHART_ROWS - 2  # noqa: PLW2901 - better than none
            if size < 3:
                continue
        if rest - size < MIN_CHART_ROWS:
            if part == "table":
                table = max(0, min(table, rest - MIN_CHART_ROWS))
                rest -= table
            continue
        rest -= size
        machine = size if part == "machine" else machine
        bottom = size if part == "bottom" else bottom
        status = size if part == "status" else status
        overlay_rows = size if part == "overlays" else overlay_rows
    blocks, stacked = _charts(columns, rest, charts)
    return Layout(blocks, stacked, bool(status), table, overlay_rows, bottom, bool(machine))


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
