"""Down-sampling of curves, and round ticks for their axes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_TIME_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
)
_LOG_MANTISSAS = ((1.0, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


def visible(x: Array, x0: float, x1: float) -> slice:
    """The slice of ascending `x` within [x0, x1] and one more point on each side, so that a line
    that leaves the view is drawn up to its edge."""
    start = int(np.searchsorted(x, x0, side="left"))
    stop = int(np.searchsorted(x, x1, side="right"))
    return slice(max(start - 1, 0), min(stop + 1, len(x)))


def extremes(x: Array, y: Array, buckets: int, x0: float, x1: float) -> tuple[Array, Array]:
    """The visible points, reduced to the minimum and the maximum of each bucket, ascending in x.

    [x0, x1] is divided into `buckets` of equal width; with at most two points per bucket, all are
    kept. A bucket of only NaN keeps one, so that the curve has a gap there; other NaN are dropped,
    since they are too narrow to see. One point on each side of the view is kept.
    """
    part = visible(x, x0, x1)
    x, y = x[part], y[part]
    if len(x) <= 2 * buckets:
        return x, y
    bounds = _bounds(x, buckets, x0, x1)
    missing = np.isnan(y)
    gaps = bool(missing.any())
    low = np.where(missing, np.inf, y) if gaps else y
    high = np.where(missing, -np.inf, y) if gaps else y
    kept: list[int] = []
    for start, stop in pairwise(bounds.tolist()):
        first = start + int(low[start:stop].argmin())
        second = start + int(high[start:stop].argmax())
        kept += [first] if first == second else sorted((first, second))
    chosen = np.asarray(kept, dtype=np.intp)
    return x[chosen], y[chosen]


def _bounds(x: Array, buckets: int, x0: float, x1: float) -> Indices:
    """The index of the first point of each non-empty bucket, followed by the length of x."""
    edges = np.linspace(x0, x1, buckets + 1)
    inner = np.searchsorted(x, edges[:-1], side="left")
    end = np.searchsorted(x, x1, side="right")
    return np.unique(np.array([0, *inner.tolist(), int(end), len(x)], dtype=np.intp))


def nice_ticks(low: float, high: float, count: int, *, log: bool = False) -> list[float]:
    """At most `count` round values in [low, high]; with `log`, a few per decade if the range covers
    one."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or count < 1:
        return [low] if low == high and count > 0 and math.isfinite(low) else []
    if log and low > 0 and high / low >= 10:
        return _log_ticks(low, high, count)
    exponent = math.floor(math.log10((high - low) / count))
    for power in range(exponent, exponent + 3):
        for mantissa in (1, 2, 5):
            ticks = _multiples(low, high, mantissa * 10.0**power, count, digits=-power)
            if ticks is not None:
                return ticks
    return []


def _multiples(
    low: float, high: float, step: float, count: int, digits: int = 6
) -> list[float] | None:
    """The multiples of `step` in [low, high]; None if there are more than `count`."""
    if step <= 0 or not math.isfinite(step):
        return None
    slack = 1e-9 * (high - low) / step
    first, last = math.ceil(low / step - slack), math.floor(high / step + slack)
    if last - first + 1 > count:
        return None
    return [round(k * step, max(digits, 0)) for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    bottom, top = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(bottom, top + 1)
    for mantissas in _LOG_MANTISSAS:
        ticks = [float(f"{m}e{d}") for d in decades for m in mantissas]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= count:
            return inside
    every = -(-len(decades) // count)
    return [t for d in decades if d % every == 0 and low <= (t := float(f"1e{d}")) <= high][:count]


def time_ticks(low: float, high: float, count: int) -> list[float]:
    """Like `nice_ticks`, for seconds: whole minutes, hours and days."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low or high - low < count:
        return nice_ticks(low, high, count)
    for step in _TIME_STEPS:
        ticks = _multiples(low, high, step, count)
        if ticks is not None:
            return ticks
    return [day * _DAY for day in nice_ticks(low / _DAY, high / _DAY, count)]


def tick_text(value: float) -> str:
    """A number as a short label: 0.05, 1.5, 500, 1k, 2.5M, 1e-6."""
    size = abs(value)
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else str(value)
    if size >= 1e15 or size < 1e-4:
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else f"{value:.0e}"
    for unit, suffix in _SUFFIXES:
        if size >= unit:
            return f"{value / unit:.6g}{suffix}"
    return f"{value:.6g}"
