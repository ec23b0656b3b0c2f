"""Polylines as characters, by plotext, and the canvas on which layers of them are laid."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinygpt_tui.render.cells import Row, Span, row

Codes: TypeAlias = NDArray[np.uint32]
Points: TypeAlias = NDArray[np.float64]  # (N, 2): dots from the left and from the bottom; NaN parts

SPACE = ord(" ")
_BRAILLE = 0x2800  # the eight dots of a cell are the low bits of its code


class Grid(NamedTuple):
    """A canvas in cells, and the dots of a cell: 2 by 4 in braille, 1 by 1 in ASCII."""

    columns: int
    rows: int
    across: int
    down: int

    @property
    def dots(self) -> tuple[int, int]:
        """The canvas in dots."""
        return self.columns * self.across, self.rows * self.down


_PLOT = threading.Lock()  # plotext has one figure a process
_REMEMBERED = 128  # parts: two charts of six curves of two, in a few looks at them
_TAIL = 8  # columns in which a curve is taken to grow
_KNOWN: dict[tuple[bytes, str, Grid], Codes] = {}  # the least recently used first


def rasters(polylines: Iterable[tuple[Points, str]], grid: Grid) -> list[Codes]:
    """Code points (rows, columns) of each polyline and its marker: "braille" or a character.

    They are drawn in two parts, the newest columns and all before, and remembered: a key that moves
    the crosshair draws nothing anew, and a curve that grows only its end.
    """
    # 0.13 s, most of it plotext's documentation: not before a chart is really drawn.
    import plotext  # type: ignore[import-untyped]  # noqa: PLC0415

    with _PLOT:
        figure = _Figure(plotext, grid)
        found = [
            _united([figure.remembered(part, marker) for part in _parts(points, grid)])
            for points, marker in polylines
        ]
        for _ in range(len(_KNOWN) - _REMEMBERED):
            del _KNOWN[next(iter(_KNOWN))]
    return found


class _Figure:
    """plotext's figure, set up when the first part is not known yet."""

    def __init__(self, plotext: Any, grid: Grid) -> None:
        self._plotext, self._grid = plotext, grid
        self._figure: Any = None

    def remembered(self, points: Points, marker: str) -> Codes:
        """The raster of one part."""
        key = (points.tobytes(), marker, self._grid)
        codes = _KNOWN.pop(key, None)
        if codes is None:
            self._figure = self._figure or _blank_figure(self._plotext, self._grid)
            codes = _raster(self._plotext, self._figure, points, marker, self._grid)
        _KNOWN[key] = codes
        return codes


def _parts(points: Points, grid: Grid) -> list[Points]:
    """All but the last columns of a polyline, and those, with the line that leads into them."""
    with np.errstate(invalid="ignore"):
        newest = np.nanmax(points[:, 0], initial=0.0) // (_TAIL * grid.across)
        late = np.flatnonzero(points[:, 0] >= newest * _TAIL * grid.across)
    cut = int(late[0]) if len(late) else 0
    return [points[:cut], points[cut - 1 :]] if cut > 1 else [points]


def _united(parts: list[Codes]) -> Codes:
    """Parts of one curve as one: dots of both in a cell of braille, in ASCII whichever is there."""
    whole = parts[0]
    for codes in parts[1:]:
        both = (whole >= _BRAILLE) & (codes >= _BRAILLE)
        whole = np.where(both, whole | codes, np.where(codes == SPACE, whole, codes))
    return whole


def _blank_figure(plotext: Any, grid: Grid) -> Any:
    """plotext's figure without any frame, its canvas measured in dots."""
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
    """Cells of one character and one style each; what comes later lies on top."""

    def __init__(self, columns: int, rows: int) -> None:
        self.codes: Codes = np.full((rows, columns), SPACE, dtype=np.uint32)
        self._layers = np.zeros((rows, columns), dtype=np.int64)
        self._styles = [""]
        self._ranks = [0]

    def lay(self, codes: Codes, style: str, rank: int) -> None:
        """Put the marks of a layer down. A higher rank replaces what lies under it. Layers of one
        rank share a cell: braille shows the dots of both, and the colour (in ASCII, the character)
        is each one's in turn along a row, so that neither hides the other."""
        marked = codes != SPACE
        shared = marked & (np.asarray(self._ranks)[self._layers] == rank)
        union = shared & (self.codes >= _BRAILLE) & (codes >= _BRAILLE)
        self.codes[union] |= codes[union]
        shared[:, 1::2] = False  # in every second column the later layer wins
        self.codes[marked & ~union & ~shared] = codes[marked & ~union & ~shared]
        self._layers[marked & ~shared] = self._add(style, rank)

    def column(self, column: int, character: str, style: str) -> None:
        """A vertical line behind everything that is there."""
        free = self.codes[:, column] == SPACE
        self.codes[free, column] = ord(character)
        self._layers[free, column] = self._add(style, 0)

    def caption(self, text: str, style: str) -> None:
        """Text in the middle, cut to fit."""
        rows, columns = self.codes.shape
        text = text[:columns]
        start = (columns - len(text)) // 2
        self.codes[(rows - 1) // 2, start : start + len(text)] = [ord(c) for c in text]
        self._layers[(rows - 1) // 2, start : start + len(text)] = self._add(style, 0)

    def spans(self, line: int) -> Row:
        """One line of the canvas, neighbours of one style in one span."""
        layers = self._layers[line]
        text = self.codes[line].tobytes().decode("utf-32-le")
        bounds = [0, *(np.flatnonzero(np.diff(layers)) + 1).tolist(), len(text)]
        return row(*(Span(text[a:b], self._styles[layers[a]]) for a, b in pairwise(bounds)))

    def _add(self, style: str, rank: int) -> int:
        self._styles.append(style)
        self._ranks.append(rank)
        return len(self._styles) - 1
