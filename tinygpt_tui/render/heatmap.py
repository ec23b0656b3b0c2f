"""An attention matrix as rows of cells: coloured blocks, or ASCII glyphs without colours.

Letters: Q queries (rows), K keys (columns), R and C buckets of these. A matrix with more weights
than its room has places is pooled into buckets of equal size; a smaller one is enlarged, evenly.
Block characters divide a line into eighths, so the height of a bucket need not be whole lines: 4,
6, 7 or any larger number of eighths, with which no cell has more than two colours. Masked weights
(key > query) have a separate code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygpt_tui.render.cells import Row, Span

Scale: TypeAlias = Literal["linear", "sqrt", "row"]
Pooling: TypeAlias = Literal["max", "mean"]
Floats: TypeAlias = NDArray[np.floating[Any]]
Codes: TypeAlias = NDArray[np.intp]

LEVELS = 14
"""Colours per map of the 256-colour cube: as many distinguishable steps as it offers."""
FULL_LEVELS = 256
"""Colours per map with truecolor."""
RAMP = ".:-=+*#%@"
"""The glyphs of levels, ascending. The lowest is not blank, since masked weights are."""
MASKED, POINTER, ACROSS, DOWN, BLANK = range(FULL_LEVELS, FULL_LEVELS + 5)
"""Codes besides the levels: masked weights, the weight under the cursor, the guide lines from it to
its labels, and nothing."""
_STYLES = {MASKED: "masked", POINTER: "pointer", BLANK: ""}
_LINES = {ACROSS: "─", DOWN: "│"}
_GLYPHS = {MASKED: " ", POINTER: "O", ACROSS: "-", DOWN: "|", BLANK: " "}
_LOWER = "▁▂▃▄▅▆▇"
"""Blocks of one to seven eighths."""
LINE = 8
"""Eighths."""
STRETCH, HIGHEST = 2.0, 1.5
"""How many times as wide as high a map is drawn at most, and a weight as high as wide."""
_FIRST_QUERIES = 8
"""Queries that `peak` skips."""
_EPSILON = 1e-12


@dataclass(frozen=True)
class Paint:
    """How weights become colours."""

    colours: str = "viridis"
    """One of `tinygpt_tui.theme.MAPS`."""
    scale: Scale = "sqrt"
    pooling: Pooling = "max"
    glyphs: bool = False
    """ASCII instead of colours."""
    full: bool = False
    """All colours of the map, for a terminal with truecolor."""

    @property
    def levels(self) -> int:
        """How many colours weights have."""
        return FULL_LEVELS if self.full and not self.glyphs else LEVELS

    @property
    def least(self) -> int:
        """The least height of a bucket in eighths of a line."""
        return LINE if self.glyphs else LINE // 2


class Pixels(NamedTuple):
    """A matrix pooled to fit its room."""

    values: Floats
    """(R, C); 0 where masked."""
    masked: NDArray[np.bool_]
    """(R, C): whether all weights in the bucket are masked."""
    rows: Codes
    """(R + 1,): bucket r holds the queries from rows[r] up to rows[r + 1], exclusive."""
    columns: Codes
    """(C + 1,): the same for keys."""
    tall: int = LINE // 2
    """Height of a bucket in eighths of a line."""
    wide: int = 1
    """Width of a bucket in columns."""

    @property
    def width(self) -> int:
        """Columns on the screen."""
        return (len(self.columns) - 1) * self.wide


class View(NamedTuple):
    """The visible part of a matrix, as half-open ranges."""

    queries: tuple[int, int]
    keys: tuple[int, int]


def whole(matrix: Floats) -> View:
    """The view of the whole matrix."""
    return View((0, matrix.shape[0]), (0, matrix.shape[1]))


class Fit(NamedTuple):
    """How a matrix fills its room."""

    down: int
    """Buckets of queries."""
    across: int
    """Buckets of keys."""
    tall: int
    """Height of a bucket in eighths of a line."""
    wide: int
    """Width of a bucket in columns."""


def fit_to(
    size: tuple[int, int], columns: int, lines: int, paint: Paint, stretch: float = STRETCH
) -> Fit:
    """Buckets as many, and then as large, as `columns` x `lines` have room for; (Q, K) is `size`.

    All are equally large. The map is at most `stretch` times as wide as high.
    """
    queries, keys = max(size[0], 1), max(size[1], 1)
    columns, lines = max(columns, 1), max(lines, 1)
    highest = int(HIGHEST * 4 * max(columns // keys, 1))
    tall = _drawable(min(lines * LINE // queries, highest), paint)
    down = min(queries, lines * LINE // paint.least)
    columns = max(min(columns, int(2 * stretch * down * tall / LINE)), 1)
    return Fit(down, min(keys, columns), tall, max(columns // keys, 1))


def _drawable(tall: int, paint: Paint) -> int:
    """The largest height up to `tall` with which no cell has three colours; 4 if there is none."""
    if paint.glyphs:
        return max(tall // LINE, 1) * LINE
    return 4 if tall < 6 else tall


def fitted(
    matrix: Floats, columns: int, lines: int, paint: Paint, stretch: float = STRETCH
) -> Pixels:
    """A whole matrix as large as it can be in this room."""
    cut = fit_to((matrix.shape[0], matrix.shape[1]), columns, lines, paint, stretch)
    pooled = pixels(matrix, whole(matrix), cut.down, cut.across, paint.pooling)
    return pooled._replace(tall=cut.tall, wide=cut.wide)


def pixels(matrix: Floats, part: View, down: int, across: int, pooling: Pooling = "max") -> Pixels:
    """A part of a (Q, K) matrix in at most `down` x `across` buckets.

    A larger matrix is pooled by maximum, or by mean without masked weights. Bucket sizes differ by
    at most one, so that any matrix fills its room.
    """
    rows, columns = _edges(part.queries, down), _edges(part.keys, across)
    tall, wide = len(rows) - 1, len(columns) - 1
    masked = columns[:-1][None, :] > (rows[1:] - 1)[:, None]
    cut = matrix[part.queries[0] : part.queries[1], part.keys[0] : part.keys[1]]
    starts = rows[:-1] - part.queries[0], columns[:-1] - part.keys[0]
    if not cut.size:
        values: Floats = np.zeros((tall, wide), np.float32)
    elif pooling == "max":
        values = np.maximum.reduceat(np.maximum.reduceat(cut, starts[0], axis=0), starts[1], axis=1)
    else:
        unmasked = np.tri(*matrix.shape, dtype=np.float32)
        unmasked = unmasked[part.queries[0] : part.queries[1], part.keys[0] : part.keys[1]]
        values = _sums(cut * unmasked, *starts) / np.maximum(_sums(unmasked, *starts), 1)
    return Pixels(np.where(masked, 0, values).astype(np.float32), masked, rows, columns)


def _edges(span: tuple[int, int], most: int) -> Codes:
    """The limits of at most `most` buckets that divide a range."""
    size = max(span[1] - span[0], 0)
    count = max(1, min(size, most))
    return span[0] + np.arange(count + 1) * size // count


def _sums(matrix: Floats, rows: Codes, columns: Codes) -> Floats:
    summed: Floats = np.add.reduceat(np.add.reduceat(matrix, rows, axis=0), columns, axis=1)
    return summed


def bucket_words(shown: Pixels, pooling: Pooling) -> str:
    """How many weights a bucket stands for, such as "1:1" or "1 cell = 4-5x4-5, max"."""
    times = "×"  # noqa: RUF001 - the sign is meant
    tall, wide = (_sizes(edges) for edges in (shown.rows, shown.columns))
    return "1:1" if tall == wide == "1" else f"1 cell = {tall}{times}{wide}, {pooling}"


def _sizes(edges: Codes) -> str:
    sizes = np.diff(edges)
    least, most = int(sizes.min()), int(sizes.max())
    return f"{most}" if least == most else f"{least}-{most}"


def peak(matrix: Floats) -> float:
    """The weight that gets the brightest colour: the largest one except for the first queries.

    These have so few keys that their weights are large in any head, which would leave only dark
    colours for the others.
    """
    rest = matrix[min(_FIRST_QUERIES, len(matrix) // 2) :]
    return float(rest.max()) if rest.size else 0.0


def codes(shown: Pixels, paint: Paint, top: float) -> Codes:
    """(R, C) levels from 0 up to `paint.levels`, or MASKED; `top` is the weight of the last one."""
    values = shown.values
    most = values.max(axis=1, keepdims=True, initial=0) if paint.scale == "row" else np.float32(top)
    part = np.clip(values / np.maximum(most, _EPSILON), 0, 1)
    if paint.scale == "sqrt":
        part = np.sqrt(part)
    coded = np.minimum((part * paint.levels).astype(np.intp), paint.levels - 1)
    return np.where(shown.masked, MASKED, coded)


def enlarge(coded: Codes, tall: int, wide: int) -> Codes:
    """A canvas: each code as a rectangle of `tall` eighths of a line and `wide` columns, with
    blanks up to whole lines."""
    canvas = np.repeat(np.repeat(coded, tall, axis=0), wide, axis=1)
    missing = -len(canvas) % LINE
    return np.pad(canvas, ((0, missing), (0, 0)), constant_values=BLANK)


def find(edges: Codes, position: int) -> int | None:
    """The bucket of a position; None outside."""
    if not edges[0] <= position < edges[-1]:
        return None
    return int(np.searchsorted(edges, position, side="right")) - 1


def middle_line(place: int, tall: int) -> int:
    """The line with the middle of bucket `place`, whose height is `tall` eighths."""
    return (place * tall + tall // 2) // LINE


def point(canvas: Codes, shown: Pixels, query: int, key: int, *, glyphs: bool = False) -> None:
    """Mark a weight in a canvas, in place, with guide lines from it to the labels of its row and
    its column.

    The lines only cover cells that are wholly masked: right of the diagonal in the query's row, and
    above it in the key's column.
    """
    y, x = find(shown.rows, query), find(shown.columns, key)
    tall, wide = shown.tall, shown.wide
    if y is not None:
        line = middle_line(y, tall)
        cells = canvas[line * LINE : (line + 1) * LINE]
        cells[:, (cells == MASKED).all(0)] = ACROSS
    if x is not None:
        lines = canvas.reshape(-1, LINE, canvas.shape[1])[:, :, x * wide + wide // 2]
        lines[(lines == MASKED).all(1)] = DOWN
    if y is None or x is None:
        return
    square = canvas[y * tall : (y + 1) * tall, x * wide : (x + 1) * wide]
    edge = LINE if glyphs else LINE // 4
    framed = not tall % LINE and tall >= max(2 * LINE, 3 * edge) and wide >= 4
    inner = square[edge:-edge, 1:-1].copy()
    square[:] = POINTER
    if framed:  # large enough for a frame around the colour
        square[edge:-edge, 1:-1] = inner


def heat(canvas: Codes, paint: Paint) -> list[Row]:
    """A canvas as rows of cells, with equal neighbours merged into one span."""
    lines = canvas.reshape(-1, LINE, canvas.shape[1])
    top, bottom = lines[:, 0], lines[:, -1]
    if paint.glyphs:
        return [_runs(line, _glyph) for line in top]
    cut = (lines == bottom[:, None]).sum(1)
    look = _looks(paint.colours, paint.full)
    return [_runs(line, look) for line in (top * _CODES + bottom) * (LINE + 1) + cut]


_CODES = BLANK + 1


def _runs(line: Codes, look: Callable[[int], Span]) -> Row:
    """A row of cells, each of which `look` draws, with equal neighbours merged into one span."""
    if not len(line):
        return ()
    ends = np.append(np.flatnonzero(line[1:] != line[:-1]) + 1, len(line))
    spans: list[Span] = []
    begin = 0
    for end, code in zip(ends.tolist(), line[ends - 1].tolist(), strict=True):
        text, style = look(code)
        spans.append(Span(text * (end - begin), style))
        begin = end
    return tuple(spans)


@cache
def _looks(colours: str, full: bool) -> Callable[[int], Span]:  # noqa: FBT001 - for the cache
    """Draws a cell with an upper and a lower colour: its number is
    ((upper code) * _CODES + (lower code)) * (LINE + 1) + eighths of the lower one."""

    @lru_cache(maxsize=1 << 15)
    def look(number: int) -> Span:
        pair, cut = divmod(number, LINE + 1)
        upper, lower = divmod(pair, _CODES)
        if upper in _LINES:
            return Span(_LINES[upper], "guide/masked")
        first = _style(upper, colours, full=full)
        if upper == lower:  # one byte instead of three
            return Span(" ", f"/{first}" if first else "")
        second = _style(lower, colours, full=full)
        # Without a colour below, the ground shows through: upper and lower change places.
        return Span(_LOWER[cut - 1], f"{second}/{first}" if second else f"{first}+reverse")

    return look


def _style(code: int, colours: str, *, full: bool) -> str:
    return _STYLES[code] if code in _STYLES else level_style(code, colours, full=full)


def level_style(level: int, colours: str, *, full: bool) -> str:
    """The name of a level's colour."""
    return f"{colours}.full.{level}" if full else f"{colours}.{level}"


def _glyph(code: int) -> Span:
    """One cell; there are fewer glyphs than levels, so neighbouring levels share one."""
    if code in _GLYPHS:
        return Span(
            _GLYPHS[code], {POINTER: "reverse", ACROSS: "faint", DOWN: "faint"}.get(code, "")
        )
    return Span(RAMP[code * len(RAMP) // LEVELS], "text")


def legend(paint: Paint, columns: int) -> Row:
    """All levels side by side, in `columns` cells."""
    levels = np.arange(columns) * paint.levels // max(columns, 1)
    return heat(np.repeat(levels[None, :], LINE, axis=0), paint)[0] if columns > 0 else ()


def blend(level: int, paint: Paint) -> str:
    """The style of a character on the colour of a level."""
    if paint.glyphs:
        return ("faint", "text", "strong", "reverse")[min(level * 4 // LEVELS, 3)]
    ink = "bright" if level < paint.levels // 2 else "ink"
    return f"{ink}/{level_style(level, paint.colours, full=paint.full)}"
