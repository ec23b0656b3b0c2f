"""The layout of the Attention tab for a given size, shared by drawing and cursor moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rich.cells import cell_len

from tinygpt_tui.attention.state import PIXEL_SIZES, AttentionState, Choice, scrolled
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.render.heatmap import LINE, Fit, Floats, Pixels, View, fit_to, pixels, whole
from tinygpt_tui.render.panel import GAP
from tinygpt_tui.render.text import visible
from tinygpt_tui.render.wrap import Flow

MIN_PANEL, WIDE_PANEL = 25, 64
"""Least columns of the readout beside a map, in a narrow and in a wide tab."""
TALL = 14
"""Lines from which there is a line for the timeline and one for the text."""
MIN_THUMBNAIL = 3
"""Least lines of a thumbnail."""
_MARGIN = 3
"""Columns of the labels of queries, if these are characters."""
LONGEST_LABEL = 9
"""Most columns of the labels of longer tokens, a blank included."""


@dataclass(frozen=True)
class Plan:
    """How many columns and lines each part gets."""

    columns: int
    lines: int
    head: int
    """Lines above the body, for the title and the text."""
    foot: int
    """Lines below it, for the timeline."""
    panel: int
    """Columns of the readout beside the map; 0 if it is below."""
    below: int
    """Lines of the readout below the map; 0 if it is beside it."""

    @property
    def body(self) -> int:
        """Lines between head, foot and readout."""
        return max(self.lines - self.head - self.foot - self.below, 0)


def plan(state: AttentionState, columns: int, lines: int) -> Plan:
    """Divide the tab: the map gets all it can use, and the readout the rest."""
    choice, shown = state.choice, state.shown
    tall = lines >= TALL
    head, foot = (2, 1) if tall else (1, 0)
    if choice.level in ("grid", "text") or shown is None:
        return Plan(columns, lines, head, foot, 0, 1 if choice.level == "text" and tall else 0)
    if state.pin is not None:
        return Plan(columns, lines, head, foot, 0, min(2, lines // 5))
    least = min(max(columns // 3, MIN_PANEL), WIDE_PANEL)
    if columns < 2 * MIN_PANEL or (lines >= 30 and columns < 2 * lines):
        return Plan(columns, lines, head, foot, 0, min(3, lines // 5))
    if choice.level == "window":
        return Plan(columns, lines, head, foot, least, 0)
    room = columns - least - GAP
    total, labels = shown.start + shown.size, label_columns(shown)
    cut, margin = _fit(choice, shown.size, (room, lines - head - foot), total, labels)
    return Plan(columns, lines, head, foot, columns - GAP - margin - cut.across * cut.wide, 0)


@dataclass(frozen=True)
class Frame:
    """A map pooled or enlarged to fit its part of the screen."""

    pixels: Pixels
    margin: int
    """Columns of the labels on the left."""
    pooled_queries: bool = False
    """Whether several queries share a bucket: labels are positions instead of characters."""
    pooled_keys: bool = False

    @property
    def pooled(self) -> bool:
        """Whether several weights share a bucket."""
        return self.pooled_queries or self.pooled_keys


def label_columns(shown: InspectedText) -> int:
    """Columns for the labels on the left of a map, a blank included: more for longer tokens."""
    if shown.characters:
        return _MARGIN
    widest = max(cell_len(visible(text)) for text in shown.texts)
    return min(max(widest + 1, _MARGIN), LONGEST_LABEL)


def frame(
    choice: Choice,
    matrix: Floats,
    columns: int,
    lines: int,
    *,
    total: int,
    labels: int = _MARGIN,
) -> Frame:
    """Fit a (T, T) map, or a window of it, into `columns` and `lines` including labels; `total` is
    the largest position that is labelled, and `labels` are the columns for tokens."""
    size = matrix.shape[0]
    if choice.level == "window":
        tall, wide, queries, keys = window(choice, size, columns, lines, labels)
        part = View(_span(choice.origin[0], queries, size), _span(choice.origin[1], keys, size))
        return Frame(pixels(matrix, part, size, size)._replace(tall=tall, wide=wide), labels)
    cut, margin = _fit(choice, size, (columns, lines), total, labels)
    pooled = pixels(matrix, whole(matrix), cut.down, cut.across, choice.paint.pooling)
    return Frame(
        pooled._replace(tall=cut.tall, wide=cut.wide),
        margin,
        pooled_queries=size > cut.down,
        pooled_keys=size > cut.across,
    )


def frame_of(choice: Choice, shown: InspectedText, matrix: Floats, room: tuple[int, int]) -> Frame:
    """`frame` for a map of this text; `room` is columns and lines."""
    total, labels = shown.start + shown.size, label_columns(shown)
    return frame(choice, matrix, *room, total=total, labels=labels)


def _fit(
    choice: Choice, size: int, room: tuple[int, int], total: int, labels: int
) -> tuple[Fit, int]:
    """How a map of `size` tokens fills columns and lines including labels, and the columns of these
    on its left: `labels`, or enough for positions where several tokens share a line."""
    (columns, lines), margin = room, labels
    cut = fit_to((size, size), columns - margin, lines - 1, choice.paint)
    if size > cut.down:
        margin = max(_MARGIN, len(str(total)) + 1)
        cut = fit_to((size, size), columns - margin, lines - 1, choice.paint)
    return cut, margin


def _span(begin: int, count: int, size: int) -> tuple[int, int]:
    begin = max(0, min(begin, size - count))
    return begin, min(begin + max(count, 1), size)


def window(
    choice: Choice, size: int, columns: int, lines: int, labels: int = _MARGIN
) -> tuple[int, int, int, int]:
    """Height in eighths of a line and width in columns of a weight in the window, and how many
    queries and keys it has; by default weights are larger than in the whole map."""
    columns, lines = max(columns - labels, 1), max(lines - 1, 1)
    least, cut = choice.paint.least, fit_to((size, size), columns, lines, choice.paint)
    larger = (factor for factor in PIXEL_SIZES if least * factor > cut.tall)
    default = 1 if size > min(cut.down, cut.across) else next(larger, PIXEL_SIZES[-1])
    factor = choice.factor or default
    tall = min(least * factor, lines * LINE)
    wide = min(factor * (2 if choice.paint.glyphs else 1), columns)
    return tall, wide, max(lines * LINE // tall, 1), max(columns // wide, 1)


def map_size(planned: Plan, *, pinned: bool = False) -> tuple[int, int]:
    """Columns and lines of one map, including labels."""
    if pinned:
        return (planned.columns - GAP) // 2, max(planned.body - 1, 1)
    return planned.columns - (planned.panel + GAP if planned.panel else 0), max(planned.body, 1)


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
    spare: int = 0
    """How many of the first lines of heads are one line higher, so that none is left over."""


@lru_cache(maxsize=64)
def thumbnails(layers: int, heads: int, columns: int, lines: int) -> Thumbnails:
    """Arrange the heads in one line per layer, or in more if their captions would not fit."""
    across = max(1, min(heads, columns // 9))
    total = -(-layers * heads // across)
    high = max(lines // total - 1, min(MIN_THUMBNAIL, lines - 1), 1)
    shown = max(1, min(total, lines // (high + 1)))
    spare = max(lines - total * (high + 1), 0) if shown == total else 0
    wide = min(columns // across, 6 * high + 4)
    return Thumbnails(across, wide, high, shown, total, min(spare, total))


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
    planned = plan(state, columns, lines)
    if choice.level == "grid":
        grid = thumbnails(shown.layers, shown.heads, columns, planned.body)
        line = state.head_order().index((choice.layer, choice.head)) // grid.across
        top = min(max(choice.top, line - grid.shown + 1), line, grid.total - grid.shown)
        return replace(choice, top=max(top, 0))
    if choice.level == "window":
        room = map_size(planned, pinned=pinned)
        _, _, queries, keys = window(choice, shown.size, *room, label_columns(shown))
        return scrolled(choice, shown, queries, keys)
    return choice
