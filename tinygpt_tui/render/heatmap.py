"""An attention matrix as rows of cells: coloured half blocks, or ASCII glyphs without colours.

Letters: Q queries (rows), K keys (columns), R and C buckets of these. A *pixel* is square: half a
cell, since cells are about twice as high as wide, or with glyphs two cells side by side. A matrix
larger than its window is pooled into buckets of equal size; a smaller one is enlarged by an integer
factor. Masked weights (key > query) have a separate code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygpt_tui.render.cells import Row, Span

Scale: TypeAlias = Literal["linear", "sqrt", "row"]
Pooling: TypeAlias = Literal["max", "mean"]
Floats: TypeAlias = NDArray[np.floating[Any]]
Codes: TypeAlias = NDArray[np.intp]

LEVELS = 14
"""Colours per map: as many distinguishable steps as the 256-colour cube offers."""
RAMP = ".:-=+*#%@"
"""The glyphs of levels, ascending. The lowest is not blank, since masked weights are."""
MASKED, POINTER, GUIDE, BLANK = range(LEVELS, LEVELS + 4)
"""Codes besides the levels: masked weights, the weight under the cursor, the lines from it to the
labels, and empty pixels."""
_GLYPHS = {MASKED: " ", POINTER: "O", GUIDE: "'", BLANK: " "}
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


class Pixels(NamedTuple):
    """A matrix pooled to fit its window."""

    values: Floats
    """(R, C); 0 where masked."""
    masked: NDArray[np.bool_]
    """(R, C): whether all weights in the bucket are masked."""
    rows: Codes
    """(R + 1,): bucket r holds the queries from rows[r] up to rows[r + 1], exclusive."""
    columns: Codes
    """(C + 1,): the same for keys."""
    factor: int
    """Width and height of a bucket in pixels."""


class View(NamedTuple):
    """The visible part of a matrix, as half-open ranges."""

    queries: tuple[int, int]
    keys: tuple[int, int]


def whole(matrix: Floats) -> View:
    """The view of the whole matrix."""
    return View((0, matrix.shape[0]), (0, matrix.shape[1]))


def room(columns: int, lines: int, *, glyphs: bool = False) -> tuple[int, int]:
    """How many pixels (down, across) fit in this many cells."""
    return (lines, columns // 2) if glyphs else (2 * lines, columns)


def pixels(matrix: Floats, part: View, down: int, across: int, pooling: Pooling = "max") -> Pixels:
    """A part of a (Q, K) matrix in at most `down` x `across` pixels.

    A larger matrix is pooled by maximum, or by mean without masked weights. Bucket sizes differ by
    at most one, so that any matrix fills the window.
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
    factor = max(1, min(down // max(tall, 1), across // max(wide, 1)))
    return Pixels(np.where(masked, 0, values).astype(np.float32), masked, rows, columns, factor)


def _edges(span: tuple[int, int], most: int) -> Codes:
    """The limits of at most `most` buckets that divide a range."""
    size = max(span[1] - span[0], 0)
    count = max(1, min(size, most))
    return span[0] + np.arange(count + 1) * size // count


def _sums(matrix: Floats, rows: Codes, columns: Codes) -> Floats:
    summed: Floats = np.add.reduceat(np.add.reduceat(matrix, rows, axis=0), columns, axis=1)
    return summed


def bucket_words(shown: Pixels, pooling: Pooling) -> str:
    """How many weights a pixel stands for, such as "1 cell = 4-5x4-5, max"."""
    times = "×"  # noqa: RUF001 - the sign is meant
    tall, wide = (_sizes(edges) for edges in (shown.rows, shown.columns))
    if tall == wide == "1":
        return f"1:1, drawn {shown.factor}{times}" if shown.factor > 1 else "1:1"
    return f"1 cell = {tall}{times}{wide}, {pooling}"


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


def codes(shown: Pixels, scale: Scale, top: float, levels: int = LEVELS) -> Codes:
    """(R, C) levels from 0 to `levels` - 1, or MASKED; `top` is the weight of the last level."""
    values = shown.values
    most = values.max(axis=1, keepdims=True, initial=0) if scale == "row" else np.float32(top)
    part = np.clip(values / np.maximum(most, _EPSILON), 0, 1)
    if scale == "sqrt":
        part = np.sqrt(part)
    coded = np.minimum((part * levels).astype(np.intp), levels - 1)
    return np.where(shown.masked, MASKED, coded)


def enlarge(canvas: Codes, factor: int) -> Codes:
    """Each code as a square of `factor` x `factor`."""
    return np.repeat(np.repeat(canvas, factor, axis=0), factor, axis=1) if factor > 1 else canvas


def find(edges: Codes, position: int) -> int | None:
    """The bucket of a position; None outside."""
    if not edges[0] <= position < edges[-1]:
        return None
    return int(np.searchsorted(edges, position, side="right")) - 1


def point(canvas: Codes, shown: Pixels, query: int, key: int) -> None:
    """Mark a weight in an enlarged canvas, in place, with guide lines through its row and column.

    The lines only cover masked pixels: right of the diagonal in the query's row, and above it in
    the key's column.
    """
    y, x = find(shown.rows, query), find(shown.columns, key)
    factor = shown.factor
    middle = factor // 2
    if y is not None:
        line = canvas[y * factor + middle]
        line[line == MASKED] = GUIDE
    if x is not None:
        line = canvas[:, x * factor + middle]
        line[line == MASKED] = GUIDE
    if y is None or x is None:
        return
    square = canvas[y * factor : (y + 1) * factor, x * factor : (x + 1) * factor]
    inner = square[1:-1, 1:-1].copy()
    square[:] = POINTER
    if factor >= 4:  # large enough for a frame around the colour
        square[1:-1, 1:-1] = inner


def heat(canvas: Codes, paint: Paint) -> list[Row]:
    """A canvas of codes as rows of cells: two lines of pixels per row, or one with glyphs."""
    return _glyph_rows(canvas) if paint.glyphs else _half_blocks(canvas, paint.colours)


def _half_blocks(canvas: Codes, colours: str) -> list[Row]:
    if len(canvas) % 2:
        canvas = np.vstack([canvas, np.full((1, canvas.shape[1]), BLANK)])
    pairs = canvas[0::2] * (BLANK + 1) + canvas[1::2]
    table = _blocks(colours)
    return [_runs(line, table) for line in pairs]


def _glyph_rows(canvas: Codes) -> list[Row]:
    table = _glyphs()
    return [_runs(line, table) for line in np.repeat(canvas, 2, axis=1)]


def _runs(line: Codes, table: Sequence[Span]) -> Row:
    """A row of cells looked up in `table`, with equal neighbours merged into one span."""
    if not len(line):
        return ()
    ends = np.append(np.flatnonzero(line[1:] != line[:-1]) + 1, len(line))
    spans: list[Span] = []
    begin = 0
    for end, code in zip(ends.tolist(), line[ends - 1].tolist(), strict=True):
        text, style = table[code]
        spans.append(Span(text * (end - begin), style))
        begin = end
    return tuple(spans)


@cache
def _blocks(colours: str) -> list[Span]:
    """Cells of two pixels, indexed by upper code * (BLANK + 1) + lower code."""
    names = [*(f"{colours}.{level}" for level in range(LEVELS)), "masked", "pointer", "guide", ""]
    cells = []
    for upper in names:
        for lower in names:
            if upper == lower:  # one byte instead of three
                cells.append(Span(" ", f"/{upper}" if upper else ""))
            elif lower:
                cells.append(Span("▀", f"{upper}/{lower}") if upper else Span("▄", lower))
            else:
                cells.append(Span("▀", upper))
    return cells


@cache
def _glyphs() -> list[Span]:
    """One cell per code; there are fewer glyphs than levels, so neighbouring levels share one."""
    ramp = [RAMP[level * len(RAMP) // LEVELS] for level in range(LEVELS)]
    spans = [Span(glyph, "text") for glyph in ramp]
    styles = {MASKED: "", POINTER: "reverse", GUIDE: "faint", BLANK: ""}
    return spans + [Span(_GLYPHS[code], style) for code, style in styles.items()]


def legend(paint: Paint, columns: int) -> Row:
    """All levels side by side, in `columns` cells."""
    levels = np.arange(columns) * LEVELS // columns
    if paint.glyphs:
        return _runs(levels, _glyphs())
    return _runs(levels * (BLANK + 1) + levels, _blocks(paint.colours))


def blend(level: int, paint: Paint) -> str:
    """The style of a character on the colour of a level."""
    if paint.glyphs:
        return ("faint", "text", "strong", "reverse")[min(level * 4 // LEVELS, 3)]
    return f"{'bright' if level < LEVELS // 2 else 'ink'}/{paint.colours}.{level}"
