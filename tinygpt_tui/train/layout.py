"""Which parts of the Train tab fit in a window, and their sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinygpt_tui.train.lower_panels import lower_lines
from tinygpt_tui.train.state import Quantity, TrainState
from tinygpt_tui.train.variant_table import table_lines

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


def layout_of(state: TrainState, columns: int, lines: int) -> Layout:
    """Divide a window of `columns` x `lines` by what there is to show."""
    return arrange(
        columns,
        lines,
        state.options.shown,
        table=table_lines(state),
        overlays=len(state.overlays) and 1 + len(state.overlays),
        bottom=min(lower_lines(state, columns), max(5, min(lines * 3 // 10, 18))),
    )


def arrange(
    columns: int, lines: int, shown: Sequence[Quantity], *, table: int, overlays: int, bottom: int
) -> Layout:
    """Divide a window of `columns` x `lines`; the charts get what the other parts leave, of which
    `table`, `overlays` and `bottom` are the rows.

    In a small window the machine line is dropped first, then samples and expert load, the overlaid
    runs, the status line and rows of the table.
    """
    parts = {"table": table, "status": 1, "overlays": overlays}
    if bottom and (not overlays or lines >= TALL):
        parts["bottom"] = bottom
    parts["machine"] = 1
    rows, rest = dict.fromkeys(("table", "status", "overlays", "bottom", "machine"), 0), lines
    for part, wanted in parts.items():
        size = min(wanted, max(rest - MIN_CHART_ROWS, 0)) if part == "table" else wanted
        if part == "bottom" and rest - size < MIN_CHART_ROWS + 2:
            size = rest - MIN_CHART_ROWS - 2  # better than none
            if size < 3:
                continue
        if rest - size < MIN_CHART_ROWS:
            continue
        rows[part] = size
        rest -= size
    charts, stacked = _charts(columns, rest, shown)
    return Layout(
        charts,
        stacked,
        bool(rows["status"]),
        rows["table"],
        rows["overlays"],
        rows["bottom"],
        bool(rows["machine"]),
    )


def _charts(
    columns: int, lines: int, shown: Sequence[Quantity]
) -> tuple[tuple[tuple[Quantity, int, int], ...], bool]:
    first, *others = shown
    if not others:
        return ((first, columns, lines),), False
    if columns >= NARROW:
        left = (columns - 1) // 2
        return ((first, left, lines), (others[0], columns - 1 - left, lines)), False
    if lines >= TALL:
        return ((first, columns, lines // 2), (others[0], columns, lines - lines // 2)), True
    return ((first, columns, lines),), False
