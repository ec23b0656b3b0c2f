"""What fits: which parts of the tab a window of some size shows, and how large."""

from __future__ import annotations

from dataclasses import dataclass

from tinygpt_tui.train.options import Charts

SMALLEST_CHART = 7
"""Rows of a chart under which something less important goes first."""
NARROW = 64
"""Columns under which two charts do not stand beside each other."""
TALL = 30
"""Rows from which they stand above each other in a narrow window."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows of each part, and each chart's quantity, columns and rows."""

    charts: tuple[tuple[str, int, int], ...]
    stacked: bool
    readout: bool
    table: int
    bottom: int
    machine: bool


def arrange(columns: int, lines: int, charts: Charts, variants: int) -> Layout:
    """Divide a window. The machine goes first, then samples and load, gap, readout, table.

    The charts get what is left: at least half of the window, as long as there is a table.
    """
    table = 1 + variants + (variants > 1) if variants else 0
    wanted = max(5, min(lines * 3 // 10, 18))
    rest, machine, bottom, readout = lines, 0, 0, 0
    for part, size in (("table", table), ("readout", 1), ("bottom", wanted), ("machine", 1)):
        if part == "bottom" and rest - size < SMALLEST_CHART + 2:
            size = rest - SMALLEST_CHART - 2  # noqa: PLW2901 - a lower one is better than none
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
        readout = size if part == "readout" else readout
    blocks, stacked = _charts(columns, rest, charts)
    return Layout(blocks, stacked, bool(readout), table, bottom, bool(machine))


def _charts(
    columns: int, lines: int, charts: Charts
) -> tuple[tuple[tuple[str, int, int], ...], bool]:
    if charts != "both":
        return ((charts, columns, lines),), False
    if columns >= NARROW:
        left = (columns - 1) // 2
        return (("loss", left, lines), ("perplexity", columns - 1 - left, lines)), False
    if lines >= TALL:
        return (("loss", columns, lines // 2), ("perplexity", columns, lines - lines // 2)), True
    return (("loss", columns, lines),), False
