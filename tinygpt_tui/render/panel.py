"""Panels without boxes: a rule with a title above each, and a thin line between two side by side.

A title takes the line that a heading would take anyway; boxes would take two lines and four columns
of each panel. Lines are faint, so that only titles and contents are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tinygpt_tui.render.cells import Row, Span, fit, row, width

LINE, ACTIVE = "─", "▸"
STYLE, _ACTIVE_STYLE = "faint", "accent"
_STARTS = (STYLE, _ACTIVE_STYLE)
"""The styles in which a rule begins."""
GAP = 2
"""Columns of the line between two panels; the contents of the right one begin with a blank."""
_JOINTS = {
    # The line above it goes on, there is a rule on the left, on the right.
    (True, False, False): "│",
    (True, True, False): "┤",
    (True, False, True): "├",
    (True, True, True): "┼",
    (False, False, False): "│",
    (False, True, False): "┐",
    (False, False, True): "┌",
    (False, True, True): "┬",
}


class Panel(NamedTuple):
    """What stands below a title."""

    title: Row
    body: Sequence[Row]
    right: Row = ()
    """A note at the right end of the title's rule, if there is room."""


def titled(name: str, *facts: str, style: str = "strong") -> Row:
    """A title: its name, and facts about what it stands for."""
    return row(Span(name, style), *(Span(f" · {fact}", "muted") for fact in facts if fact))


def rule(title: Row, columns: int, *, right: Row = (), active: bool = False) -> Row:
    """A line of exactly `columns` with a title in it, and with `right` at its end if both fit.

    `active` marks the panel that keys act on.
    """
    head, tail = row(Span(LINE, STYLE), " "), row(" ", *right, " ", Span(LINE, STYLE))
    if active:
        head = row(Span(ACTIVE, _ACTIVE_STYLE), " ")
    head = row(*head, *title, " ") if width(title) else ()
    if not width(right) or width(head) + width(tail) + 1 > columns:
        tail = ()
    between = Span(LINE * max(columns - width(head) - width(tail), 0), STYLE)
    return fit(row(*head, between, *tail), columns)


def stacked(panels: Sequence[Panel], columns: int, lines: int) -> list[Row]:
    """Panels below each other, as many of the first ones as fit, in exactly `lines` rows.

    The first one that does not fit as a whole is cut, if a row of it is visible.
    """
    rows: list[Row] = []
    for title, body, right in panels:
        if len(rows) + 2 <= lines:
            rows += [rule(title, columns, right=right), *(fit(cells, columns) for cells in body)]
    return [*rows, *[fit((), columns)] * (lines - len(rows))][: max(lines, 0)]


def side_by_side(blocks: Sequence[Sequence[Row]], sizes: Sequence[int]) -> list[Row]:
    """Panels beside each other, of these widths, with a line between them that meets their rules.

    The rows are `sum(sizes) + GAP * (len(sizes) - 1)` wide.
    """
    rows: list[Row] = []
    for line in range(max(map(len, blocks), default=0)):
        cells = [
            fit(block[line] if line < len(block) else (), size)
            for block, size in zip(blocks, sizes, strict=True)
        ]
        parts: list[Span | str] = [*cells[0]]
        for before, after in pairwise(cells):
            parts += [_joint(before, after, goes_on=line > 0), *after]
        rows.append(row(*parts))
    return rows


def _joint(before: Row, after: Row, *, goes_on: bool) -> Span:
    """The line between two panels in one row, with arms to the rules that it meets."""
    left = bool(before) and before[-1].style == STYLE and before[-1].text.endswith(LINE)
    right = bool(after) and after[0].style in _STARTS and after[0].text[0] in (LINE, ACTIVE)
    return Span((LINE if left else " ") + _JOINTS[goes_on, left, right], STYLE)
