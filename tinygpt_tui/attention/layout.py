"""The layout of the Attention tab for a given size, shared by drawing and cursor moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from tinygpt_tui.attention.state import AttentionState, Choice, scrolled
from tinygpt_tui.render.heatmap import Floats, Pixels, View, pixels, room, whole
from tinygpt_tui.render.wrap import Flow

MIN_PANEL = 25
"""Least columns of the readout beside a map."""
MAX_PANEL = 46
TALL = 14
"""Lines from which there is a line for the timeline and one for the text."""
MIN_THUMBNAIL = 3
"""Least lines of a thumbnail."""


@dataclass(frozen=True)
class Plan:
    """How many columns and lines each part gets."""

    columns: int
    lines: int
    head: int
    """Lines above the body, for the title and the text."""
    foot: int
    """Lines below it, for the legend and the timeline."""
    panel: int
    """Columns of the readout beside the map; 0 if it is below."""
    below: int
    """Lines of the readout below the map; 0 if it is beside it."""

    @property
    def body(self) -> int:
        """Lines between head, foot and readout."""
        return max(self.lines - self.head - self.foot - self.below, 0)


def plan(choice: Choice, columns: int, lines: int, *, pinned: bool = False) -> Plan:
    """Divide the tab; `pinned`: two maps are shown."""
    tall = lines >= TALL
    head = foot = 2 if tall else 1
    if choice.level in ("grid", "text"):
        return Plan(columns, lines, head, foot, 0, 1 if choice.level == "text" and tall else 0)
    square = 2 * (lines - head - foot)  # columns of a map as high as the body
    panel = 0 if pinned else min(columns - min(square, columns), MAX_PANEL)
    if panel < MIN_PANEL and not pinned and columns >= 2 * MIN_PANEL and lines < 30:
        panel = MIN_PANEL
    if panel >= MIN_PANEL:
        return Plan(columns, lines, head, foot, panel, 0)
    return Plan(columns, lines, head, foot, 0, min(2 if pinned else 3, lines // 5))


@dataclass(frozen=True)
class Frame:
    """A map pooled or enlarged to fit its part of the screen."""

    pixels: Pixels
    margin: int
    """Columns of the labels on the left."""
    pooled: bool
    """Whether several tokens share a pixel, so that labels are positions instead of characters."""


def frame(choice: Choice, matrix: Floats, columns: int, lines: int, *, total: int) -> Frame:
    """Fit a (T, T) map, or a window of it, into `columns` and `lines` including labels; `total` is
    the largest position that is labelled."""
    glyphs, size = choice.paint.glyphs, matrix.shape[0]
    down, across = room(max(columns - 3, 2), max(lines - 1, 1), glyphs=glyphs)
    if choice.level == "window":
        factor = factor_of(choice, size, down, across)
        queries, keys = down // factor, across // factor
        part = View(_span(choice.origin[0], queries, size), _span(choice.origin[1], keys, size))
        window = pixels(matrix, part, down, across)
        return Frame(window._replace(factor=factor), 3, pooled=False)
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
    """Pixels per side of a weight in the window; by default more than in the whole map."""
    least = 1 if choice.paint.glyphs else 2 if size <= min(down, across) else 1
    return max(1, min(choice.factor or least, down, across))


def map_size(planned: Plan, *, pinned: bool = False) -> tuple[int, int]:
    """Columns and lines of one map, including labels."""
    if pinned:
        return (planned.columns - 2) // 2, max(planned.body - 1, 1)
    return planned.columns - (planned.panel + 1 if planned.panel else 0), max(planned.body, 1)


@dataclass(frozen=True)
class Thumbnails:
    """The grid of heads."""

    across: int
    """Heads per line."""
    columns: int
    """Width of a thumbnail, including the gap after it."""
    lines: int
    """Height of a thumbnail, without its caption."""
    shown: int
    """Visible lines of heads."""
    total: int
    """All lines of heads."""


@lru_cache(maxsize=64)
def thumbnails(layers: int, heads: int, columns: int, lines: int) -> Thumbnails:
    """Arrange the heads in one line per layer, or in more if their captions would not fit."""
    across = max(1, min(heads, columns // 9))
    total = -(-layers * heads // across)
    high = max(lines // total - 1, min(MIN_THUMBNAIL, lines - 1), 1)
    shown = max(1, min(total, lines // (high + 1)))
    return Thumbnails(across, min(columns // across, 6 * high + 4), high, shown, total)


def wrapped_text(texts: Sequence[str], columns: int) -> Flow:
    """Lay out the tokens of a window as lines of text."""
    flow = Flow(max(columns - 2, 2))
    flow.extend(texts)
    return flow


def with_cursor_visible(state: AttentionState, columns: int, lines: int) -> Choice:
    """The choice, scrolled if the cursor would be outside the screen."""
    choice, shown, pinned = state.choice, state.shown, state.pin is not None
    if shown is None or not shown.size:
        return choice
    planned = plan(choice, columns, lines, pinned=pinned)
    if choice.level == "grid":
        grid = thumbnails(shown.layers, shown.heads, columns, planned.body)
        line = state.head_order().index((choice.layer, choice.head)) // grid.across
        top = min(max(choice.top, line - grid.shown + 1), line, grid.total - grid.shown)
        return replace(choice, top=max(top, 0))
    if choice.level == "window":
        wide, high = map_size(planned, pinned=pinned)
        down, across = room(max(wide - 3, 2), max(high - 1, 1), glyphs=choice.paint.glyphs)
        factor = factor_of(choice, shown.size, down, across)
        return scrolled(choice, shown, max(down // factor, 1), max(across // factor, 1))
    return choice
