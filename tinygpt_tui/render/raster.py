"""Draws polylines as characters, with plotext, and combines them on a canvas."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygpt_tui.render.cells import Row, Span, row

Codes: TypeAlias = NDArray[np.uint32]
"""Unicode code points (rows, columns)."""
Points: TypeAlias = NDArray[np.float64]
"""(N, 2): x and y in dots from the lower left corner; NaN separates polylines."""

SPACE = ord(" ")
_BRAILLE = 0x2800  # the eight dots of a cell are the low bits of its code


class Grid(NamedTuple):
    """Size of a canvas in cells, and of a cell in dots: 2 x 4 in braille, 1 x 1 in ASCII."""

    columns: int
    rows: int
    across: int
    """Dots per cell, horizontally."""
    down: int
    """Dots per cell, vertically."""

    @property
    def dots(self) -> tuple[int, int]:
        """Width and height in dots."""
        return self.columns * self.across, self.rows * self.down


_PLOTEXT_LOCK = threading.Lock()  # plotext has one figure per process
_CACHE: dict[tuple[bytes, str, Grid], Codes] = {}  # least recently used first
_CACHE_SIZE = 128  # rasters: two charts with six curves of two parts each, at a few zoom levels
_TAIL = 8  # columns at the end of a curve that are drawn separately, since they change as it grows


def rasters(polylines: Iterable[tuple[Points, str]], grid: Grid) -> list[Codes]:
    """The code points of each polyline, drawn with its marker: "braille" or a character.

    Each is drawn and cached in two parts, the last columns and all before them: moving the
    crosshair draws nothing, and a growing curve only its end.
    """
    # Takes 0.13 s, most of it for plotext's documentation, so not before a chart is drawn.
    import plotext  # type: ignore[import-untyped]  # noqa: PLC0415

    with _PLOTEXT_LOCK:
        figure = _Figure(plotext, grid)
        drawn = [
            _merged([figure.cached(part, marker) for part in _parts(points, grid)])
            for points, marker in polylines
        ]
        for _ in range(len(_CACHE) - _CACHE_SIZE):
            del _CACHE[next(iter(_CACHE))]
    return drawn


class _Figure:
    """plotext's figure, set up for the first part that is not cached."""

    def __init__(self, plotext: Any, grid: Grid) -> None:
        self._plotext, self._grid = plotext, grid
        self._figure: Any = None

    def cached(self, points: Points, marker: str) -> Codes:
        """The raster of one part of a polyline."""
        key = (points.tobytes(), marker, self._grid)
        codes = _CACHE.pop(key, None)
        if codes is None:
            self._figure = self._figure or _blank_figure(self._plotext, self._grid)
            codes = _raster(self._plotext, self._figure, points, marker, self._grid)
        _CACHE[key] = codes
        return codes


def _parts(points: Points, grid: Grid) -> list[Points]:
    """A polyline without its last columns, and these columns with the line leading into them."""
    with np.errstate(invalid="ignore"):
        last = np.nanmax(points[:, 0], initial=0.0) // (_TAIL * grid.across)
        late = np.flatnonzero(points[:, 0] >= last * _TAIL * grid.across)
    cut = int(late[0]) if len(late) else 0
    return [points[:cut], points[cut - 1 :]] if cut > 1 else [points]


def _merged(parts: list[Codes]) -> Codes:
    """The parts of a curve as one raster: in braille all dots, in ASCII the later character."""
    whole = parts[0]
    for codes in parts[1:]:
        both = (whole >= _BRAILLE) & (codes >= _BRAILLE)
        whole = np.where(both, whole | codes, np.where(codes == SPACE, whole, codes))
    return whole


def _blank_figure(plotext: Any, grid: Grid) -> Any:
    """plotext's figure without a frame, with dots as units."""
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(grid.columns, grid.rows)
    figure.axes(False)
    figure.legend(False)
    for axis, dots in zip("xy", grid.dots, strict=True):
        figure.ruler(axis).frequency(0).lim(0, dots).alignment(lim="edge")
    return figure


def _raster(plotext: Any, figure: Any, points: Points, marker: str, grid: Grid) -> Codes:
    figure.clear.data()
    missing = np.isnan(points[:, 0])
    kept = points[~missing] + 0.5  # the middle of a dot
    signal = figure.signal(
        kept[:, 0].tolist(), kept[:, 1].tolist(), marker=plotext.marker(marker)
    ).lines()
    gaps = np.flatnonzero(missing)
    for index in gaps - np.arange(len(gaps)):  # the first point after each gap begins a new line
        signal.line(int(index), False)
    figure.draw(signal)
    text = figure.build().string(colorless=True).replace("\n", "")
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    return codes.reshape(grid.rows, grid.columns)


class Canvas:
    """Cells with one character and one style each, drawn in layers."""

    def __init__(self, columns: int, rows: int) -> None:
        self.codes: Codes = np.full((rows, columns), SPACE, dtype=np.uint32)
        self._layers = np.zeros((rows, columns), dtype=np.int64)
        self._styles = [""]
        self._ranks = [0]

    def lay(self, codes: Codes, style: str, rank: int) -> None:
        """Draw a layer. It covers layers of lower rank. Layers of equal rank share cells, so that
        neither hides the other: in braille the dots of both are drawn, and the colour (in ASCII the
        character) alternates along the row."""
        marked = codes != SPACE
        shared = marked & (np.asarray(self._ranks)[self._layers] == rank)
        union = shared & (self.codes >= _BRAILLE) & (codes >= _BRAILLE)
        self.codes[union] |= codes[union]
        shared[:, 1::2] = False  # in every second column the later layer wins
        self.codes[marked & ~union & ~shared] = codes[marked & ~union & ~shared]
        self._layers[marked & ~shared] = self._add(style, rank)

    def column(self, column: int, character: str, style: str) -> None:
        """Draw a vertical line behind everything drawn so far."""
        free = self.codes[:, column] == SPACE
        self.codes[free, column] = ord(character)
        self._layers[free, column] = self._add(style, 0)

    def point(self, column: int, line: int, character: str, style: str) -> None:
        """Draw one character over everything drawn so far."""
        self.codes[line, column] = ord(character)
        self._layers[line, column] = self._add(style, max(self._ranks) + 1)

    def caption(self, text: str, style: str) -> None:
        """Draw a centred text, cut to fit."""
        rows, columns = self.codes.shape
        text = text[:columns]
        start = (columns - len(text)) // 2
        self.codes[(rows - 1) // 2, start : start + len(text)] = [ord(c) for c in text]
        self._layers[(rows - 1) // 2, start : start + len(text)] = self._add(style, 0)

    def spans(self, line: int) -> Row:
        """One line of the canvas."""
        layers = self._layers[line]
        text = self.codes[line].tobytes().decode("utf-32-le")
        bounds = [0, *(np.flatnonzero(np.diff(layers)) + 1).tolist(), len(text)]
        return row(*(Span(text[a:b], self._styles[layers[a]]) for a, b in pairwise(bounds)))

    def _add(self, style: str, rank: int) -> int:
        self._styles.append(style)
        self._ranks.append(rank)
        return len(self._styles) - 1
