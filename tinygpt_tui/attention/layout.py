"""The layout of the Attention tab for a size, which drawing and cursor moves share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from tinygpt_tui.attention.state import AttentionState, Choice, scrolled
from tinygpt_tui.render.heatmap import Floats, Pixels, View, pixels, room, whole
from tinygpt_tui.render.wrap import Flow

PANEL = 25
"""Least columns of the readout beside a map."""
WIDEST_PANEL = 46
TALL = 14
"""Lines from which the timeline and the text have a line each."""
LEAST_THUMBNAIL = 3
"""Least lines of a thumbnail."""


@dataclass(frozen=True)
class Plan:
    """How many columns and lines each part gets."""

    columns: int
    lines: int
    head: int
    """Lines above the body: the title, the text."""
    foot: int
    """Lines below it: the legend, the timeline."""
    panel: int
    """Columns of the readout on the right; 0 if it is below the map, in `below` lines."""
    below: int

    @property
    def body(self) -> int:
        """Lines between head, foot and readout."""
        return max(self.lines - self.head - self.foot - self.below, 0)


def plan(choice: Choice, columns: int, lines: int, *, pinned: bool = False) -> Plan:
    """The parts of a level; `pinned`: two maps are shown."""
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
    """A map at the size of its part of the screen."""

    pixels: Pixels
    margin: int
    """Columns of the labels on the left."""
    pooled: bool
    """Several tokens share a pixel, so labels are positions, not characters."""


def frame(choice: Choice, matrix: Floats, columns: int, lines: int, *, total: int) -> Frame:
    """The map of a head or of a window in `columns` and `lines`, labels included."""
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
    """Pixels per side of a weight in the window: by default larger than in the whole map."""
    least = 1 if choice.paint.glyphs else 2 if size <= min(down, across) else 1
    return max(1, min(choice.factor or least, down, across))


def map_size(planned: Plan, *, pinned: bool = False) -> tuple[int, int]:
    """Columns and lines of one map, labels included."""
    if pinned:
        return (planned.columns - 2) // 2, max(planned.body - 1, 1)
    return planned.columns - (planned.panel + 1 if planned.panel else 0), max(planned.body, 1)


@dataclass(frozen=True)
class Thumbnails:
    """The grid of heads."""

    across: int
    """Heads per line."""
    columns: int
    """Of a thumbnail, including the gap after it."""
    lines: int
    """Of a thumbnail, without its caption."""
    shown: int
    """Lines of heads on the screen."""
    total: int
    """Lines of heads."""


@lru_cache(maxsize=64)
def thumbnails(layers: int, heads: int, columns: int, lines: int) -> Thumbnails:
    """One line of heads per layer, as long as they are wide enough for their captions."""
    across = max(1, min(heads, columns // 9))
    total = -(-layers * heads // across)
    high = max(lines // total - 1, min(LEAST_THUMBNAIL, lines - 1), 1)
    shown = max(1, min(total, lines // (high + 1)))
    return Thumbnails(across, min(columns // across, 6 * high + 4), high, shown, total)


def wrapped_text(texts: Sequence[str], columns: int) -> Flow:
    """The tokens of a window as lines of text."""
    flow = Flow(max(columns - 2, 2))
    flow.extend(texts)
    return flow


def with_cursor_visible(state: AttentionState, columns: int, lines: int) -> Choice:
    """The choice, scrolled if the cursor would be off the screen."""
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
