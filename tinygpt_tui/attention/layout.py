"""Where things stand in the Attention tab, for a size: what moves the cursor needs it, too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from tinygpt_tui.attention.state import Choice, Pin, order, scrolled
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.heatmap import Floats, Pixels, View, pixels, room, whole

PANEL = 25
"""Columns that the readout needs beside a map."""
WIDEST_PANEL = 46
TALL = 14
"""Lines from which the timeline and the text have one of their own."""
LEAST_THUMBNAIL = 3
"""Lines of a thumbnail."""


@dataclass(frozen=True)
class Plan:
    """Lines and columns."""

    columns: int
    lines: int
    head: int
    """Lines above the body: the title, the text."""
    foot: int
    """Lines below it: the legend, the timeline."""
    panel: int
    """Columns of the readout at the right; 0 if it stands below, in `below` lines."""
    below: int

    @property
    def body(self) -> int:
        """Lines between."""
        return max(self.lines - self.head - self.foot - self.below, 0)


def plan(choice: Choice, columns: int, lines: int, *, pinned: bool = False) -> Plan:
    """The lines and columns of a level."""
    tall = lines >= TALL
    head = foot = 2 if tall else 1
    if choice.level in ("grid", "text"):
        return Plan(columns, lines, head, foot, 0, 1 if choice.level == "text" and tall else 0)
    square = 2 * (lines - head - foot)  # columns of a map as high as the body
    panel = 0 if pinned else min(columns - min(square, columns), WIDEST_PANEL)
    if panel < PANEL and not pinned and columns >= 2 * PANEL and lines < 30:
        panel = PANEL
    if panel >= PANEL:
        return Plan(columns, lines, head, foot, panel, 0)
    return Plan(columns, lines, head, foot, 0, min(2 if pinned else 3, lines // 5))


@dataclass(frozen=True)
class Frame:
    """A map as it stands in its part of the screen."""

    pixels: Pixels
    margin: int
    """Columns of labels at the left."""
    pooled: bool
    """A label is a position, not a character."""


def frame(choice: Choice, matrix: Floats, columns: int, lines: int, *, total: int) -> Frame:
    """The map of a head or of a window in so many columns and lines, labels included."""
    glyphs, size = choice.paint.glyphs, matrix.shape[0]
    down, across = room(max(columns - 3, 2), max(lines - 1, 1), glyphs=glyphs)
    if choice.level == "window":
        factor = factor_of(choice, size, down, across)
        queries, keys = down // factor, across // factor
        part = View(_span(choice.origin[0], queries, size), _span(choice.origin[1], keys, size))
        shown = pixels(matrix, part, down, across)
        return Frame(shown._replace(factor=factor), 3, pooled=False)
    pooled = size > min(down, across)
    margin = max(3, len(str(total)) + 1) if pooled else 3
    down, across = room(max(columns - margin, 2), max(lines - 1, 1), glyphs=glyphs)
    side = max(min(down, across), 1)
    return Frame(_pixels(matrix, side, choice.paint.pooling), margin, pooled=size > side)


def _pixels(matrix: Floats, side: int, pooling: str) -> Pixels:
    return pixels(matrix, whole(matrix), side, side, "mean" if pooling == "mean" else "max")


def _span(begin: int, count: int, size: int) -> tuple[int, int]:
    begin = max(0, min(begin, size - count))
    return begin, min(begin + max(count, 1), size)


def factor_of(choice: Choice, size: int, down: int, across: int) -> int:
    """Pixels a side of a number in the window: larger than the level before would draw it."""
    least = 1 if choice.paint.glyphs else 2 if size <= min(down, across) else 1
    return max(1, min(choice.factor or least, down, across))


def map_size(planned: Plan, *, pinned: bool = False) -> tuple[int, int]:
    """Columns and lines of one map with its labels."""
    if pinned:
        return (planned.columns - 2) // 2, max(planned.body - 1, 1)
    return planned.columns - (planned.panel + 1 if planned.panel else 0), max(planned.body, 1)


@dataclass(frozen=True)
class Thumbnails:
    """How the grid of heads is cut."""

    across: int
    """Heads in a line."""
    columns: int
    """Of one, with the gap behind it."""
    lines: int
    """Of one, without its caption."""
    shown: int
    """Lines of heads that are on the screen."""
    total: int
    """Lines of heads."""


@lru_cache(maxsize=64)
def thumbnails(layers: int, heads: int, columns: int, lines: int) -> Thumbnails:
    """A line of heads a layer, as long as they stay wide enough for their captions."""
    across = max(1, min(heads, columns // 9))
    total = -(-layers * heads // across)
    high = max(lines // total - 1, min(LEAST_THUMBNAIL, lines - 1), 1)
    shown = max(1, min(total, lines // (high + 1)))
    return Thumbnails(across, min(columns // across, 6 * high + 4), high, shown, total)


def settled(
    choice: Choice,
    shown: InspectedText,
    statistics: dict[str, Floats],
    size: tuple[int, int],
    *,
    pin: Pin | None = None,
) -> Choice:
    """The choice scrolled to where its cursor can be seen; `size` in columns and lines."""
    columns, lines = size
    planned = plan(choice, columns, lines, pinned=pin is not None)
    if choice.level == "grid":
        cut = thumbnails(shown.layers, shown.heads, columns, planned.body)
        line = order(choice, statistics, shown).index((choice.layer, choice.head)) // cut.across
        top = min(max(choice.top, line - cut.shown + 1), line, cut.total - cut.shown)
        return replace(choice, top=max(top, 0))
    if choice.level == "window":
        wide, high = map_size(planned, pinned=pin is not None)
        down, across = room(max(wide - 3, 2), max(high - 1, 1), glyphs=choice.paint.glyphs)
        factor = factor_of(choice, shown.size, down, across)
        return scrolled(choice, shown, max(down // factor, 1), max(across // factor, 1))
    return choice
