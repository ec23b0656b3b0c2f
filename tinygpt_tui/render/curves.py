"""Line charts: plotext rasterises the curves in braille or ASCII; the frame is drawn here.

plotext draws each curve separately, and the layers are combined cell by cell. So a smoothed curve
keeps its own dots where it crosses the noisy raw one (plotext would give all dots of a cell the
colour of the last curve), and cells have style names instead of colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from tinygpt.escape import printable
from tinygpt_tui.render import axes
from tinygpt_tui.render.axes import Frame, Limits
from tinygpt_tui.render.cells import BEST, Row, Span, fit, row
from tinygpt_tui.render.cells import width as width_of
from tinygpt_tui.render.downsample import Array, extremes, nice_ticks, tick_text, visible
from tinygpt_tui.render.raster import SPACE, Canvas, Codes, Grid, Points, rasters

Weight: TypeAlias = Literal["faint", "line", "bold"]

MIN_WIDTH, MIN_HEIGHT = 12, 4
MIN_COLUMNS = 6  # of the canvas; rather than less, y has no labels
_RANKS = {"faint": 1, "line": 2, "bold": 3}
_LEGEND = {"faint": "⣿", "line": "─", "bold": "━"}
# One glyph per variant; curves with a marker are drawn with that.
_ASCII = {"faint": ".:'`,", "line": "ox+*~", "bold": "@#%&$"}
_DASH = 3  # of so many columns of a dashed curve, the last is left out
_DOTS = 2  # of so many columns of a dotted curve, all but the last are left out
_FAINT_RANGE = (1.0, 99.5)  # percentiles of a faint curve that the range of y covers
_FAINT_SAMPLE = 4096  # points that these percentiles are estimated from
_MARGIN = 0.04  # of the range of y, above and below
_HUGE = 1e300  # values are clipped to this, so that the difference of two stays finite
_SPACINGS = ((0, "  ", " "), (1, "  ", " "), (1, " ", " "), (2, " ", " "), (2, " ", ""))
"""Of a legend of families: how much shorter its words are, what stands between the kinds, and what
between the glyph and the word."""
_ASCII_BEST = "^"
_ASCII_DOT = "."
_GAP = np.full((1, 2), np.nan)


@dataclass(frozen=True, eq=False)
class Curve:
    """A named curve."""

    name: str
    style: str
    """Name of a style in `tinygpt_tui.theme`."""
    x: Array
    """(N,), ascending."""
    y: Array
    """(N,); NaN is a gap."""
    weight: Weight = "line"
    """Faint curves are drawn in the background, bold ones on top and twice as thick."""
    mark: int | None = None
    """Index of the point that is marked, over all curves."""
    marker: str = ""
    """One character that marks that point, names the curve in the legend and draws it in ASCII;
    empty for the usual ones. Curves with a marker stay in the legend longer than others of their
    weight, and those of equal name share an entry."""
    dashed: bool = False
    dotted: bool = False
    """Sparse dots: for the edges of a band around a curve of the same name."""
    family: str = ""
    """What its colour stands for. The legend of curves with families names these and the kinds of
    curves, each of them once."""
    kinds: tuple[str, ...] = ()
    """What its weight stands for, in shorter and shorter words."""


@dataclass(frozen=True)
class View:
    """The visible range; a limit of None is computed from the visible points."""

    x0: float
    x1: float
    y0: float | None = None
    y1: float | None = None
    log_y: bool = False


class _Sample(NamedTuple):
    """The points of a curve that are drawn, after clipping and down-sampling."""

    curve: Curve
    x: Array
    y: Array
    """In the units of `Limits`."""
    typical: Array
    """Evenly spaced visible values of y of a faint curve; empty for others."""


def chart(
    curves: Sequence[Curve],
    view: View,
    width: int,
    height: int,
    *,
    title: str,
    x_label: str,
    empty: str = "no data yet",
    ascii: bool = False,
    cursor: float | None = None,
    x_text: Callable[[float], str] = tick_text,
    x_ticks: Callable[[float, float, int], list[float]] = nice_ticks,
) -> list[Row]:
    """Exactly `height` rows of `width` columns: title and legend, curves in a frame, labels of x.

    Without limits, y covers all visible points plus a small margin. Of faint curves only the range
    from the 1st to the 99.5th percentile counts if there are others, so that the large first losses
    of a raw curve do not flatten the rest. Below 12 columns or 4 rows the rows are blank.

    Where values above or below the limits are cut off, an arrow at the y axis says so, as does the
    title if there is room. `empty` is shown if there are no curves.

    `x_text` and `x_ticks` format and choose the ticks of x: for a time axis, `formatting.duration`
    and `downsample.time_ticks`.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return [row(" " * max(width, 0))] * max(height, 0)
    density = (1, 1) if ascii else (2, 4)
    frame = axes.ASCII_FRAME if ascii else axes.FRAME
    view = _valid(view)
    samples = [_sample(curve, view, width - MIN_COLUMNS, density[0]) for curve in curves]
    limits = _limits(samples, view)
    y_labels = axes.y_labels(limits, Grid(1, height - 3, *density)) if _has_points(samples) else {}
    gutter = max(map(len, y_labels.values()), default=0)
    if gutter > width - 1 - MIN_COLUMNS:
        y_labels, gutter = {}, 0
    grid = Grid(width - 1 - gutter, height - 3, *density)
    glyphs = _ascii_glyphs(curves) if ascii else [c.marker or _LEGEND[c.weight] for c in curves]
    canvas = Canvas(grid.columns, grid.rows)
    if _has_points(samples):
        _draw(canvas, samples, limits, grid, glyphs if ascii else None)
        _mark(canvas, curves, limits, grid, _ASCII_BEST if ascii else BEST)
    else:
        canvas.caption("no data in view" if _has_points(curves) else empty, "muted")
    at = None
    if cursor is not None and view.x0 <= cursor <= view.x1:
        at = limits.across(cursor, grid.dots[0]) // grid.across
        canvas.column(at, frame.cursor, "cursor")
    x_labels = axes.x_labels(limits, grid, x_ticks, x_text) if _has_points(curves) else {}
    x_labels, label_row = axes.label_row(
        x_labels, gutter, width, row(Span(printable(x_label), "muted"))
    )
    above, below = _clipped(samples, limits)
    titles = _titles(printable(title), log=view.log_y, clipped=above or below)
    return [
        _head(titles, curves, glyphs, width),
        *_body(canvas, y_labels, gutter, frame, (above, below)),
        axes.axis_row(x_labels, gutter, grid, at, frame),
        label_row,
    ]


def _valid(view: View) -> View:
    """The view with finite limits and x0 < x1."""
    x0, x1 = (_finite(x, 0.0) for x in (view.x0, view.x1))
    if not x1 > x0:
        pad = max(0.5, abs(x0) * 1e-6)
        x0, x1 = x0 - pad, x0 + pad
    y0, y1 = (None if y is None else _scaled(y, view) for y in (view.y0, view.y1))
    return View(x0, x1, y0, y1, view.log_y)


def _finite(value: float, default: float) -> float:
    return min(max(value, -_HUGE), _HUGE) if math.isfinite(value) else default


def _scaled(y: float, view: View) -> float | None:
    if not math.isfinite(y) or (view.log_y and y <= 0):
        return None
    return math.log10(y) if view.log_y else _finite(y, 0.0)


def _has_points(curves: Sequence[Curve | _Sample]) -> bool:
    return any(len(curve.x) for curve in curves)


def _sample(curve: Curve, view: View, columns: int, across: int) -> _Sample:
    """The visible points of a curve, down-sampled; none if all are NaN.

    A faint curve gets two points per cell instead of two per dot: it looks the same, like a band,
    at half the cost.
    """
    part = visible(curve.x, view.x0, view.x1)
    x, y = (np.asarray(values[part], dtype=np.float64) for values in (curve.x, curve.y))
    buckets = columns if curve.weight == "faint" else columns * across
    drawable = np.isfinite(y) & (y > 0) if view.log_y else np.isfinite(y)
    if not drawable.all():
        y = np.where(drawable, y, np.nan)
    typical = y[:: -(-len(y) // _FAINT_SAMPLE)] if curve.weight == "faint" and len(y) else y[:0]
    x, y = extremes(x, y, buckets, view.x0, view.x1)
    if view.log_y:
        y, typical = np.log10(y), np.log10(typical)
    y = np.clip(y, -_HUGE, _HUGE)
    x, y = _cut(x, y, view.x0, view.x1)
    if np.isnan(y).all():
        x = y = y[:0]
    return _Sample(curve, x, y, typical[~np.isnan(typical)])


def _cut(along: Array, other: Array, low: float, high: float) -> tuple[Array, Array]:
    """A polyline clipped to [low, high] of its first coordinate: gaps outside, and a point where it
    crosses a limit."""
    for limit in (low, high):
        before, after = along[:-1] - limit, along[1:] - limit
        at = np.flatnonzero(np.sign(before) * np.sign(after) < 0)
        if len(at):
            share = before[at] / (before[at] - after[at])
            crossing = other[at] + share * (other[at + 1] - other[at])
            along, other = np.insert(along, at + 1, limit), np.insert(other, at + 1, crossing)
    outside = ~((along >= low) & (along <= high))
    if outside.any():
        along, other = np.where(outside, np.nan, along), np.where(outside, np.nan, other)
    return along, other


def _limits(samples: Sequence[_Sample], view: View) -> Limits:
    ranges = [_range(sample, samples) for sample in samples if len(sample.y)]
    low = min((low for low, _ in ranges), default=0.0)
    high = max((high for _, high in ranges), default=1.0)
    pad = _MARGIN * (high - low) or max(abs(high) * 0.05, 1e-3)
    y0 = low - pad if view.y0 is None else view.y0
    y1 = high + pad if view.y1 is None else view.y1
    if not y1 > y0:
        y0, y1 = y0 - (pad := max(abs(y0) * 0.05, 1e-3)), y0 + pad
    return Limits(view.x0, view.x1, y0, y1, view.log_y)


def _range(sample: _Sample, samples: Sequence[_Sample]) -> tuple[float, float]:
    """The range of y that a curve asks for: see `chart`."""
    others = any(len(s.y) for s in samples if s.curve.weight != "faint")
    if sample.curve.weight == "faint" and others and len(sample.typical):
        low, high = np.percentile(sample.typical, _FAINT_RANGE)
        return float(low), float(high)
    return float(np.nanmin(sample.y)), float(np.nanmax(sample.y))


def _clipped(samples: Sequence[_Sample], limits: Limits) -> tuple[bool, bool]:
    """Whether visible points lie above the limits, and below."""
    known = [sample.y for sample in samples if len(sample.y)]
    high = max((float(np.nanmax(y)) for y in known), default=limits.y1)
    low = min((float(np.nanmin(y)) for y in known), default=limits.y0)
    return high > limits.y1, low < limits.y0


def _draw(
    canvas: Canvas,
    samples: Sequence[_Sample],
    limits: Limits,
    grid: Grid,
    glyphs: Sequence[str] | None,
) -> None:
    """Draw the curves on the canvas, faint ones first."""
    order = sorted(range(len(samples)), key=lambda i: _RANKS[samples[i].curve.weight])
    markers = [glyphs[i] if glyphs else "braille" for i in order]
    drawn = [_dots(samples[i], limits, grid) for i in order]
    for i, codes in zip(order, rasters(zip(drawn, markers, strict=True), grid), strict=True):
        curve = samples[i].curve
        canvas.lay(_broken(codes, curve), curve.style, _RANKS[curve.weight])


def _broken(codes: Codes, curve: Curve) -> Codes:
    """A dashed or dotted curve without some of its columns; a copy, since rasters are cached."""
    left_out = np.zeros(codes.shape[1], np.bool_)
    if curve.dashed:
        left_out[_DASH - 1 :: _DASH] = True
    if curve.dotted:
        left_out[np.arange(len(left_out)) % _DOTS < _DOTS - 1] = True
    kept = codes.copy()
    kept[:, left_out] = SPACE
    return kept


def _mark(canvas: Canvas, curves: Sequence[Curve], limits: Limits, grid: Grid, glyph: str) -> None:
    """Draw the marks of the curves that are in view."""
    for curve in curves:
        if curve.mark is None:
            continue
        x, y = float(curve.x[curve.mark]), float(curve.y[curve.mark])
        if not math.isfinite(y) or (limits.log and y <= 0):
            continue
        height = math.log10(y) if limits.log else y
        if limits.x0 <= x <= limits.x1 and limits.y0 <= height <= limits.y1:
            column = limits.across(x, grid.dots[0]) // grid.across
            line = grid.rows - 1 - limits.up(y, grid.dots[1]) // grid.down
            canvas.point(column, line, curve.marker or glyph, curve.style)


def _dots(sample: _Sample, limits: Limits, grid: Grid) -> Points:
    """A sample as polylines in whole dots. In braille an isolated point becomes a small square (a
    single dot is easily missed), and a bold curve is drawn a second time one dot higher."""
    y, x = _cut(sample.y, sample.x, limits.y0, limits.y1)
    across, down = (dots - 1 for dots in grid.dots)
    columns = np.rint((x - limits.x0) / (limits.x1 - limits.x0) * across)
    rows = np.rint((y - limits.y0) / (limits.y1 - limits.y0) * down)
    points = _corners(np.column_stack((columns, rows)))
    if grid.down == 1:
        return points
    squares = [_GAP, *(_square(point, across, down) for point in _isolated(points))]
    if sample.curve.weight == "bold":
        squares += [points + np.array((0.0, 1.0))]
    return np.concatenate((points, *squares))


def _corners(points: Points) -> Points:
    """Polylines without repeated and collinear points, since plotext takes 10 us per point."""
    moved = np.diff(points, axis=0, prepend=np.nan)
    points = points[(moved != 0).any(axis=1)]
    step = np.diff(points, axis=0)
    before, after = step[:-1], step[1:]
    straight = before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]
    onward = (before * after).sum(axis=1) > 0
    return np.delete(points, np.flatnonzero(straight & onward) + 1, axis=0)


def _isolated(points: Points) -> Points:
    """Points without a neighbour on either side."""
    gap = np.concatenate(([True], np.isnan(points[:, 0]), [True]))
    return points[gap[:-2] & ~gap[1:-1] & gap[2:]]


def _square(point: Points, across: int, down: int) -> Points:
    column, line = min(point[0], across - 1), min(point[1], down - 1)
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    return np.concatenate((_GAP, np.array([(column + c, line + r) for c, r in corners])))


def _ascii_glyphs(curves: Sequence[Curve]) -> list[str]:
    """One character per curve: its marker, else one for its variant and its weight."""
    families = list(dict.fromkeys(curve.style.partition(".")[0] for curve in curves))
    places = [families.index(curve.style.partition(".")[0]) for curve in curves]
    rows = [_ASCII[curve.weight] for curve in curves]
    chosen = [glyphs[place % len(glyphs)] for glyphs, place in zip(rows, places, strict=True)]
    return [
        _ASCII_DOT if curve.dotted else curve.marker or glyph
        for curve, glyph in zip(curves, chosen, strict=True)
    ]


def _titles(title: str, *, log: bool, clipped: bool) -> list[str]:
    """The title with what is special about the y axis, and a shorter one; a logarithmic axis is
    always named."""
    short = f"{title} (log)" if log else title
    if not clipped:
        return [short]
    return [f"{title} (log, clipped)" if log else f"{title} (clipped)", short]


def _head(titles: Sequence[str], curves: Sequence[Curve], glyphs: Sequence[str], width: int) -> Row:
    """The title and the legend. If there is no room, the title and the legend get shorter; at last
    the legend drops the faintest curves first, then the names of those with markers, then these."""
    entries = list(
        {(c.name, c.style): (c, g) for c, g in zip(curves, glyphs, strict=True)}.values()
    )
    own = [entry for entry in entries if not entry[0].marker]
    marked = [entry for entry in entries if entry[0].marker]
    grouped = bool(own) and all(curve.family for curve, _ in own)
    for legend in (_grouped_legends if grouped else _legends)(own, marked):
        for title in titles:
            room = width - len(title) - width_of(legend)
            if legend and room >= 2 - grouped:
                return row(Span(title, "strong"), " " * room, *legend)
    return fit(row(Span(titles[-1], "strong")), width)


def _legends(
    own: Sequence[tuple[Curve, str]], marked: Sequence[tuple[Curve, str]]
) -> Iterator[Row]:
    """Shorter and shorter legends."""
    for rank in sorted(_RANKS.values()):
        bold = [entry for entry in own if _RANKS[entry[0].weight] >= rank]
        yield _legend([*bold, *marked])
    yield row(*_legend(bold), "  ", *_glyphs(marked))
    yield _legend(bold)


def _grouped_legends(
    own: Sequence[tuple[Curve, str]], marked: Sequence[tuple[Curve, str]]
) -> Iterator[Row]:
    """Families in their colours, then kinds: in shorter and shorter words, then closer; the names
    of curves with markers go first, then the kinds."""
    names = _families(own)
    kinds: dict[tuple[str, ...], str] = {}
    for curve, glyph in own:  # in ASCII each family has a glyph of its own
        if curve.kinds and glyph not in kinds.get(curve.kinds, ""):
            kinds[curve.kinds] = kinds.get(curve.kinds, "") + glyph
    tails = [_legend(marked), _glyphs(marked)] if marked else [()]
    for tail in tails:
        for shorter, gap, space in _SPACINGS if kinds else ():
            words = (f"{g}{space}{k[min(shorter, len(k) - 1)]}" for k, g in kinds.items())
            yield row(*names, Span(f" {gap.join(words)}", "muted"), gap if tail else "", *tail)
    yield row(*names, *tails[-1])


def _families(entries: Sequence[tuple[Curve, str]]) -> Row:
    """Each family once, in its colour."""
    styles = {curve.family: curve.style.partition(".")[0] for curve, _ in entries}
    spans = [Span(f" {name}", style) for name, style in styles.items()]
    return row(spans[0]._replace(text=spans[0].text[1:]), *spans[1:])


def _glyphs(entries: Sequence[tuple[Curve, str]]) -> Row:
    return row(*(Span(glyph, curve.style) for curve, glyph in entries))


def _legend(entries: Sequence[tuple[Curve, str]]) -> Row:
    parts: list[Span | str] = []
    for curve, glyph in entries:
        parts += ["  "] if parts else []
        parts += [Span(glyph, curve.style), Span(f" {printable(curve.name)}", "muted")]
    return row(*parts)


def _body(
    canvas: Canvas, labels: axes.Labels, gutter: int, frame: Frame, clipped: tuple[bool, bool]
) -> list[Row]:
    """The rows of the canvas with the y axis; arrows at its ends where values are clipped."""
    rows, last = [], len(canvas.codes) - 1
    for line in range(last + 1):
        side = Span(frame.side_tick if line in labels else frame.side, "muted")
        if line in (0, last) and clipped[line != 0]:
            side = Span(frame.above if line == 0 else frame.below, "accent")
        label = Span(f"{labels.get(line, ''):>{gutter}}", "muted")
        rows.append(row(label, side, *canvas.spans(line)))
    return rows
