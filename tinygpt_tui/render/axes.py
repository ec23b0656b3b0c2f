"""Axes of a chart: limits, ticks with their labels, and the frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.cells import width as width_of
from tinygpt_tui.render.downsample import nice_ticks, tick_text
from tinygpt_tui.render.raster import Grid

Labels: TypeAlias = Mapping[int, str]
"""Labels of ticks, by column or row of the canvas."""

_TICK_ROWS, _TICK_COLUMNS = 3, 11  # least distance of ticks on y, on x


class Limits(NamedTuple):
    """A view with all limits resolved; with `log`, y0 and y1 are log10 of the values."""

    x0: float
    x1: float
    y0: float
    y1: float
    log: bool

    def across(self, x: float, steps: int) -> int:
        """The column of x, of `steps` in total; x0 is in the first and x1 in the last."""
        return round((x - self.x0) / (self.x1 - self.x0) * (steps - 1))

    def up(self, y: float, steps: int) -> int:
        """The row of y, counted from the bottom, of `steps` in total."""
        scaled = math.log10(y) if self.log else y
        return round((scaled - self.y0) / (self.y1 - self.y0) * (steps - 1))


class Frame(NamedTuple):
    """The characters of a frame."""

    side: str
    side_tick: str
    corner: str
    base: str
    base_tick: str
    cursor: str
    cursor_tick: str
    above: str
    """At the top of the y axis, if there are values above it."""
    below: str


FRAME = Frame("│", "┤", "└", "─", "┬", "│", "┴", "↑", "↓")
ASCII_FRAME = Frame("|", "+", "+", "-", "+", "|", "^", "^", "v")


def y_labels(limits: Limits, grid: Grid) -> dict[int, str]:
    """Ticks of y by row of the canvas; `grid` may have any number of columns."""
    low, high = limits.y0, limits.y1
    if limits.log:
        low, high = 10 ** max(low, -300.0), 10 ** min(high, 300.0)
    ticks = nice_ticks(low, high, max(2, grid.rows // _TICK_ROWS), log=limits.log)
    labels: dict[int, str] = {}
    for tick, text in zip(ticks, _aligned([tick_text(t) for t in ticks]), strict=True):
        line = grid.rows - 1 - limits.up(tick, grid.dots[1]) // grid.down
        if text not in labels.values():
            labels.setdefault(line, text)
    return labels


def _aligned(texts: list[str]) -> list[str]:
    """Labels with the same number of decimals (1.5, 2.0), unless one has an exponent or suffix."""
    if not all(text.lstrip("-").replace(".", "", 1).isdigit() for text in texts):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    small = all(abs(float(text)) < 10 for text in texts)
    return [f"{float(text):.{decimals}f}" for text in texts] if small else texts


def x_labels(
    limits: Limits,
    grid: Grid,
    ticks: Callable[[float, float, int], list[float]],
    text: Callable[[float], str],
) -> dict[int, str]:
    """Ticks of x by column; `ticks(low, high, count)` chooses at most `count`, `text` formats."""
    labels: dict[int, str] = {}
    for tick in ticks(limits.x0, limits.x1, max(3, grid.columns // _TICK_COLUMNS)):
        column = limits.across(tick, grid.dots[0]) // grid.across
        if text(tick) not in labels.values():
            labels.setdefault(column, text(tick))
    return labels


def axis_row(labels: Labels, gutter: int, grid: Grid, cursor: int | None, frame: Frame) -> Row:
    """The bottom of the frame with ticks and cursor; `gutter` is the width of the y labels."""
    base = [frame.base_tick if column in labels else frame.base for column in range(grid.columns)]
    left = " " * gutter + frame.corner
    if cursor is None:
        return row(Span(left + "".join(base), "muted"))
    before, after = "".join(base[:cursor]), "".join(base[cursor + 1 :])
    return row(
        Span(left + before, "muted"), Span(frame.cursor_tick, "cursor"), Span(after, "muted")
    )


def label_row(labels: Labels, gutter: int, width: int, name: Row) -> tuple[dict[int, str], Row]:
    """The labels that fit, by column, and their row with the axis `name` at the right end."""
    taken = width_of(name) + 2 if name else 0
    end = width - taken if width - gutter - taken >= 2 * _TICK_COLUMNS else width
    text, kept = "", {}
    for column, label in sorted(labels.items()):
        start = min(max(gutter + 1 + column - len(label) // 2, 0), width - len(label))
        if start + len(label) <= end and start >= len(text) + 2 * bool(text):
            text, kept[column] = text.ljust(start) + label, label
    if end == width:
        return kept, fit(row(Span(text, "muted")), width)
    return kept, row(*fit(row(Span(text, "muted")), end + 2), *name)
